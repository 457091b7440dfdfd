"""What secrets look like in text, and how text says that one follows: the patterns behind :mod:`.redaction`."""

from __future__ import annotations

import re

#: Up to the last ``@`` of the authority: a password may hold one. A mere ``git@`` is a convention, not a login.
URL_LOGIN = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?!git@)[^/\s?#\"'<>]+@")
URL_VALUE = re.compile(r"(?P<name>[?&](?P<key>[\w.-]{1,80})=)[^&\s#\"']+")
#: Channels of conda have their token in the path.
URL_TOKEN = re.compile(r"(?P<head>://[^\s\"'<>]{1,200}?/t/)[\w-]{8,}(?=/)")
LOOKS_SECRET = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|ptt|rt)-[\w-]{16,}|hf_[A-Za-z0-9]{20,}"
    r"|sk-[\w-]{20,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|xox[abeoprs]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|(?<!-)eyJ[\w-]{8,4096}\.eyJ[\w-]{8,}\.[\w-]*|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,}|AIza[\w-]{30,}|ya29\.[\w-]{20,}"
    r"|dapi[0-9a-f]{32}|dop_v1_[0-9a-f]{40,}|SG\.[\w-]{16,}\.[\w-]{16,}|wandb_v1_\w{20,}|r8_[A-Za-z0-9]{30,}"
    r"|gsk_[A-Za-z0-9]{30,}|nvapi-[\w-]{30,}|hvs\.[\w-]{20,}|glsa_\w{30,}|tskey-[\w-]{20,})"
    # A key with its end, or as far as its lines go: code that only talks of keys stays.
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"(?:[A-Za-z0-9+/=\s\\\"',:().+-]{0,12000}?-----END [A-Z ]*PRIVATE KEY-----|(?:(?:\\n|[\s\"'+-])*[A-Za-z0-9+/=]{24,})+)"
    r"|(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}"
)
#: The beginning of something that looks like a secret, at the end of a text that goes on.
BEGINS_SECRET = re.compile(
    r"(?:gh[pousr]_|github_pat_|gl(?:pat|ptt|rt)-|hf_|sk-|[sr]k_(?:live|test)_|xox[abeoprs]-|AKIA|ASIA|eyJ|npm_|pypi-|AIza|ya29\."
    r"|dapi|dop_v1_|SG\.|wandb_v1_|r8_|gsk_|nvapi-|hvs\.|glsa_|tskey-|://)[^\s\"']*\Z"
)
#: Parts of names of secrets. Only where one of them is, the patterns below that have a ``name`` are tried.
NAME_HINTS = ("pass", "pwd", "secret", "token", "key", "credential", "bearer", "cookie", "jwt", "_pat", "-pat")
NAME_HINT = re.compile("(?i:" + "|".join(NAME_HINTS) + ")")
_hints = """
    :// ghp_ gho_ ghu_ ghs_ ghr_ github_pat glpat- glptt- glrt- hf_ sk- sk_ rk_ xox akia asia eyj npm_ pypi- aiza ya29 dapi dop_v1 sg. wandb_v1
    r8_ gsk_ nvapi- hvs. glsa_ tskey- private slack.com authorization login( authenticate( set_api_key( curl mysql mariadb sshpass docker identified
    """
HINTS = tuple(_hints.split())
#: The part of a name before such a hint.
NAME_END = re.compile(r"[A-Za-z_][\w.-]*\Z")
AUTHORIZATION = re.compile(
    r"(?i)(?P<head>\b(?:proxy-)?authorization\b[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?)[^\s\"',]+"
)
BEARER = re.compile(r"(?P<head>\b[Bb]earer\s+)[A-Za-z0-9._~+/-]{16,}=*")
#: ``NAME=value``, ``name: value``, ``"name": "value"``, ``name: str = b"value"`` and, within a JSON text, ``name = \"value\"``.
#: Whether the name is a secret's is asked afterwards; so it is of all below that have a ``name``.
ASSIGNED = re.compile(
    r"(?P<name>[A-Za-z_][\w.-]{2,80})"
    r"(?P<between>(?:\\?[\"'])?\]?"
    # an annotation, of a value in quotes only
    r"(?:\s{0,3}:\s{0,3}[A-Za-z_][\w.]{0,40}(?:\[[\w., |\[\]]{0,60}\])?(?:\s?\|\s?\w{1,40}){0,4}"
    r"(?=\s{0,3}=\s{0,3}[(\[]?[bruBRU]{0,2}\\?[\"']))?"
    r"[ \t]{0,3}(?:[:?+]=|=>|<-|=(?!=)|:(?!//))(?:[ \t]{0,3}|[\s+-]{0,60}(?=[bruBRU]{0,2}\\?[\"']))"
    r"(?:[(\[][\s+-]{0,60}(?=[bruBRU]{0,2}\\?[\"']))?(?:[bruBRU]{1,2}(?=\\?[\"']))?)"
)
VALUE = re.compile(
    r"(?P<quote>\\?(?:\"{3}|'{3}|[\"'`]))(?P<quoted>(?:(?!(?P=quote))(?:[^\n\\]|\\.)){1,4096})(?P=quote)"
    r"|(?P<bare>[^\s\"',;&)}\]\\]{1,4096})"
)
#: The items of a YAML list below the name of secrets.
LIST = re.compile(
    r"(?m)^(?P<head>[+-]?(?P<indent>[ \t]*)[\"']?(?P<name>[A-Za-z_][\w.-]{2,80})[\"']?:[ \t]*\n)(?P<items>(?:[+-]?(?P=indent)[ \t]*- [^\n]+(?:\n|\Z)){1,200})"
)
#: A line that is only this, in a configuration, an environment file or a console: its value may have any characters.
LINE = re.compile(
    r"(?m)^(?P<head>[ \t+-]{0,80}(?:(?:export|set|ENV|ARG)[ \t]+)?[\"']?(?P<name>[A-Za-z_][\w.-]{2,80})[\"']?"
    r"[ \t]*(?P<between>[:?+]?=(?!=)|:(?=[ \t]))[ \t]*)(?P<value>[^\s\"'`{\[|>$<%!&*=:][^\n]*)"
)
#: ``ENV NAME value`` of a Dockerfile.
DOCKER = re.compile(
    r"(?m)^(?P<head>[ \t+-]{0,80}(?:ENV|ARG)[ \t]+(?P<name>[A-Za-z_][\w.-]{2,80})[ \t]+)(?P<value>[^\s$=][^\n]*)"
)
#: ``--password value`` and ``"--password", "value"`` within a line.
OPTION = re.compile(
    r"(?P<head>(?<![\w-])--?(?P<name>[A-Za-z][\w-]{2,60})(?P<between>[\"']\s{0,3},\s{0,3}[\"']|[ \t]{1,3}[\"']?))"
    r"(?P<value>[^\s\"',;)\]=-][^\s\"',;)\]]{0,4096})"
)
#: ``setdefault("HF_TOKEN", "value")``.
PAIR = re.compile(
    r"(?P<head>(?P<quote>\\?[\"'])(?P<name>[A-Z][A-Z0-9_]{2,60})(?P=quote)\s{0,3},\s{0,3}\\?[\"'])(?P<value>[^\"'\n\\]{1,4096})(?=\\?[\"'])"
)
#: ``DEFINE_string("token", "value")`` of absl.
DEFINED = re.compile(
    r"(?P<head>DEFINE_string\(\s{0,60}[\"'](?P<name>[A-Za-z_]\w{2,60})[\"']\s{0,3},\s{0,60}[\"'])(?P<value>[^\"'\n\\]{1,4096})(?=[\"'])"
)
#: ``add_argument("--token", default="value")``.
DEFAULT = re.compile(
    r"(?P<head>(?:add_argument|option)\([^()]{0,200}?--?(?P<name>[A-Za-z][\w-]{2,60})[^()]{0,300}?\bdefault\s{0,3}=\s{0,3}\\?[\"'])"
    r"(?P<value>[^\"'\n\\]{1,4096})(?=\\?[\"'])"
)
#: ``login("value")``, ``IDENTIFIED BY 'value'``.
CALLED = re.compile(
    r"(?P<head>\b(?:login|authenticate|set_api_key)\(\s{0,3}(?:key\s{0,3}=\s{0,3})?\\?[\"'])(?P<value>[^\"'\s\\]{16,4096})(?=\\?[\"'])"
)
SQL = re.compile(r"(?i)(?P<head>\bidentified\s{1,3}by\s{1,3}[\"'])(?P<value>[^\"'\n]{1,4096})(?=[\"'])")
#: Programs that take a secret behind a flag that has no name to go by.
PROGRAM = re.compile(
    r"(?P<head>\bcurl\b[^\n|;]{0,200}?\s(?:-u|-U|--user|--proxy-user)[ =]?[\"']?[^\s\"':]{1,100}:"
    r"|\b(?:mysql|mysqldump|mariadb)\b[^\n|;]{0,200}?\s-p(?=\S)|\bsshpass\s{1,3}-p[ \t]{0,3}"
    r"|\bdocker\s{1,3}login\b[^\n|;]{0,200}?\s-p[ \t]{1,3})(?P<value>[^\s\"']+)"
)
SECRET_FLAGS = {
    "sshpass": ("-p",),
    "mysql": ("-p",),
    "mysqldump": ("-p",),
    "mariadb": ("-p",),
    "redis-cli": ("-a",),
    "curl": ("-u", "-U"),
    "http": ("-a",),
    "https": ("-a",),
    "ldapsearch": ("-w",),
}
SECRET_LONG_FLAGS = {"curl": ("--user", "--proxy-user", "--oauth2-bearer"), "wget": ("--user",)}
