"""Keeps secrets out of journals: they are copied to every machine of a team.

A value goes when its *name* is that of a secret (``api_key``, ``--password``), or when it *looks* like one (a GitHub,
Hugging Face, OpenAI, AWS or Slack token, a JSON web token, a private key), or the part of a URL before ``@`` goes. Names
are split into words, so ``max_tokens``, ``tokenizer`` and ``author`` stay; only texts are touched, so
``token_dropout = 0.1`` stays too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

REDACTED = "[redacted]"

_SECRET_WORDS = frozenset(
    [
        "secret",
        "secrets",
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "pwd",
        "credential",
        "credentials",
        "apikey",
        "authtoken",
        "accesstoken",
        "bearer",
        "cookie",
        "jwt",
    ]
)
_SECRET_KEYS = frozenset(
    ["api", "access", "private", "secret", "auth", "signing", "encryption", "account", "ssh", "license", "storage"]
)
#: Tokens of a vocabulary, not of a login.
_MODEL_TOKENS = frozenset(
    [
        "pad",
        "eos",
        "bos",
        "mask",
        "unk",
        "sep",
        "cls",
        "end",
        "start",
        "special",
        "stop",
        "image",
        "max",
        "min",
        "num",
        "per",
        "next",
        "new",
        "first",
        "last",
        "trigger",
        "prefix",
    ]
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
#: Up to the last ``@`` of the authority: a password may hold one. A mere ``git@`` is a convention, not a login.
_URL_LOGIN = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?!git@)[^/\s?#\"'<>]+@")
_URL_SECRET = re.compile(r"(?i)(?P<name>[?&](?:[\w-]*(?:token|key|secret|password|signature|sig))=)[^&\s#\"']+")
_LOOKS_SECRET = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|ptt|rt)-[\w-]{16,}|hf_[A-Za-z0-9]{20,}"
    r"|sk-[\w-]{20,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|xox[abeoprs]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,}|AIza[\w-]{30,}|ya29\.[\w-]{20,}"
    r"|dapi[0-9a-f]{32}|dop_v1_[0-9a-f]{40,}|SG\.[\w-]{16,}\.[\w-]{16,}|wandb_v1_\w{20,}|r8_[A-Za-z0-9]{30,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}"
)
#: A cheap look at a line before the expensive ones: none of these, no secret.
_HINT = re.compile(
    r"://|gh[pousr]_|github_pat|gl(?:pat|ptt|rt)-|hf_|sk-|[sr]k_|xox|AKIA|ASIA|eyJ|npm_|pypi-|AIza|ya29|dapi|dop_v1|SG\.|wandb_v1|r8_"
    r"|PRIVATE KEY|slack\.com|[Pp]ass|PASS|[Pp]wd|PWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Kk]ey|KEY|[Cc]redential|CREDENTIAL"
    r"|[Aa]uth|AUTH|[Bb]earer|[Cc]ookie"
)
_AUTHORIZATION = re.compile(
    r"(?i)(?P<head>\b(?:proxy-)?authorization\b[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?)[^\s\"',]+"
)
_BEARER = re.compile(r"(?P<head>\b[Bb]earer\s+)[A-Za-z0-9._~+/-]{16,}=*")
#: ``NAME=value``, ``name: value``, ``"name": "value"`` within a text; whether the name is a secret's is asked afterwards.
_ASSIGNED = re.compile(
    r"(?P<name>[A-Za-z_][\w.-]{2,80})(?P<between>[\"']?\]?\s{0,3}(?:=|:(?!//))\s{0,3})"
    r"(?:(?P<quote>[\"'])(?P<quoted>(?:(?!(?P=quote))[^\n\\]|\\.){1,4096})(?P=quote)|(?P<bare>[^\s\"',;&)}\]]{1,4096}))"
)
#: Programs that take a secret behind a short flag, which has no name to go by.
_SECRET_FLAGS = {
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


def is_secret_name(name: str) -> bool:
    """True when a value of this name should not be shown: ``db_password``, ``HF_TOKEN``, ``apiKey``."""
    words = [word.lower() for word in _WORDS.findall(name)]
    for index, word in enumerate(words):
        before = words[index - 1] if index > 0 else ""
        if word in _SECRET_WORDS:
            return True
        if word == "key" and before in _SECRET_KEYS:
            return True
        if word == "token" and index == len(words) - 1 and before not in _MODEL_TOKENS:
            return True
    return False


#: Secrets that this process knows by value, and what finds them.
_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None
#: More would make the pattern slow, and nobody has so many.
_KNOWN_LIMIT = 200


def learn(secret: str) -> None:
    """From now on this very text is redacted wherever it occurs, whatever it looks like. A short or plain word is not
    learned: "postgres" as a password must not take the word out of every text."""
    global _known_pattern
    if not 8 <= len(secret) <= 4096 or secret in _known or len(_known) >= _KNOWN_LIMIT or "\n" in secret:
        return
    if not any(c.isdigit() for c in secret) and (secret.islower() or secret.isalpha() or "/" in secret):
        return
    if secret.isdigit() or secret == REDACTED:
        return
    _known.add(secret)
    _known_pattern = re.compile("|".join(map(re.escape, sorted(_known, key=len, reverse=True))))


def learn_environment(environ: Mapping[str, str]) -> None:
    """Learns the values of environment variables that are named like secrets."""
    for name, value in environ.items():
        if is_secret_name(name):
            learn(value)


def known_secrets() -> list[str]:
    """What was learned, to tell another process of ours."""
    return sorted(_known)


def _redact_known(text: str) -> str:
    return text if _known_pattern is None else _known_pattern.sub(REDACTED, text)


def redact_text(text: str) -> str:
    """The text without logins in URLs, without anything that looks like a token, and without known secrets."""
    text = _redact_known(text)
    if "://" in text:
        text = _URL_LOGIN.sub(rf"\g<scheme>{REDACTED}@", text)
        text = _URL_SECRET.sub(rf"\g<name>{REDACTED}", text)
    return _LOOKS_SECRET.sub(REDACTED, text)


def redact_lines(text: str) -> str:
    """Printed text: as :func:`redact_text`, and ``HF_TOKEN=…``, ``password: …`` and authorization headers.

    Fast for the usual line, which has none of them. As many lines come out as went in.
    """
    text = _redact_known(text)
    if _HINT.search(text) is None:
        return text
    return _redact_all(text, bare=True)


def redact_source(content: bytes, name: str = "") -> tuple[bytes, int]:
    """Source code, configuration or a patch: tokens, logins, known secrets, and literals assigned to names of secrets.

    ``name`` of the file says whether ``password: x`` is a literal (YAML, shell) or a variable (Python). Returns the bytes
    and how many places changed. Lines stay lines, so that a patch keeps its shape; what git encoded as binary stays as it is.
    """
    # latin-1 gives each byte a character and back.
    text = content.decode("latin-1")
    if _HINT.search(text) is None and _known_pattern is None:
        return content, 0
    if text.startswith("diff --git "):
        parts = re.split(r"(?m)^(?=diff --git )", text)
        result = "".join(map(_redact_file_of_patch, parts))
    else:
        result = _redact_all(_redact_known_bytes(text), bare=_has_bare_values(name))
    if result == text:
        return content, 0
    return result.encode("latin-1"), max(1, result.count(REDACTED) - text.count(REDACTED))


def _redact_known_bytes(text: str) -> str:
    """Known secrets in text that holds UTF-8 as latin-1."""
    for secret in _known:
        encoded = secret.encode("utf-8", "replace").decode("latin-1")
        if encoded in text:
            text = text.replace(encoded, REDACTED)
    return text


def _redact_file_of_patch(part: str) -> str:
    head, found, rest = part.partition("\nGIT binary patch\n")
    name = head.partition("\n")[0].rpartition(" b/")[2].strip('"')
    return _redact_all(_redact_known_bytes(head), bare=_has_bare_values(name)) + found + rest


def _has_bare_values(name: str) -> bool:
    return name.lower().endswith(
        (".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".sh", ".bash", ".env", ".txt", ".json")
    )


def _redact_all(text: str, bare: bool) -> str:
    if "://" in text:
        text = _URL_LOGIN.sub(rf"\g<scheme>{REDACTED}@", text)
        text = _URL_SECRET.sub(rf"\g<name>{REDACTED}", text)
    text = _LOOKS_SECRET.sub(_keep_lines, text)
    text = _AUTHORIZATION.sub(rf"\g<head>{REDACTED}", text)
    text = _BEARER.sub(rf"\g<head>{REDACTED}", text)
    return _ASSIGNED.sub(lambda match: _unassigned(match, bare), text)


def _keep_lines(match: re.Match[str]) -> str:
    _, *rest = match.group().split("\n")
    # The first column of a patch says what becomes of a line.
    return "\n".join([REDACTED, *((line[:1] if line[:1] in ("+", "-", " ") else "") + REDACTED for line in rest)])


def _unassigned(match: re.Match[str], bare: bool) -> str:
    whole = match.group()
    name, value = match["name"], match["quoted"] or match["bare"]
    if not is_secret_name(name) or REDACTED[:-1] in value:
        return whole
    if match["quoted"] is None and (not bare and not _is_variable(name, match["between"])):
        return whole  # code: token = tokenizer.next()
    if name.lower().endswith("token") and not _is_token(value):
        return whole  # "next token: Paris" of a language model
    if value.startswith(("$", "<", "{", "%")) or value in ("None", "null", "true", "false", "True", "False"):
        return whole  # a reference or a place to fill in
    return whole.replace(value, REDACTED) if value not in match["name"] else f"{name}{match['between']}{REDACTED}"


def _is_variable(name: str, between: str) -> bool:
    """``HF_TOKEN=x`` as shells and env files write it."""
    return between == "=" and name.isupper()


def _is_token(value: str) -> bool:
    return value.isascii() and len(value) >= (8 if any(c.isdigit() for c in value) else 16)


def redact_value(path: str, text: str) -> str:
    """An attribute's text, by the parts of its path and by its look."""
    if text and is_secret_path(path):
        return REDACTED
    return redact_lines(text)


def is_secret_path(path: str) -> bool:
    """True when the last part is a secret's name, or a part above it is: ``secrets/db``."""
    *above, last = path.split("/")
    return is_secret_name(last) or any(part.lower() in _SECRET_WORDS for part in above)


def redact_remote(url: str) -> str:
    """A git remote without login, still good for cloning; a token in its query goes too."""
    scheme, found, rest = url.partition("://")
    if not found:
        return redact_text(url)  # git@host:path, or a folder
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    keep = "git@" if at and login == "git" else ""
    return redact_text(f"{scheme}://{keep}{host}{slash}{path}")


def redact_argv(argv: Sequence[str]) -> list[str]:
    """A command line: ``--token abc``, ``--token=abc``, ``TOKEN=abc`` and ``sshpass -p abc`` lose the value."""
    result: list[str] = []
    hide_next = False
    flags: tuple[str, ...] = ()
    for argument in argv:
        if hide_next and not argument.startswith("-"):
            result.append(REDACTED)
            hide_next = False
            continue
        hide_next = False
        program = argument.replace("\\", "/").rpartition("/")[2]
        if program in _SECRET_FLAGS:
            flags = _SECRET_FLAGS[program]
        short = argument[:2]
        if short in flags and not argument.startswith("--"):
            hide_next = len(argument) == 2
            result.append(argument if hide_next else f"{short}{REDACTED}")
            continue
        name, equals, value = argument.partition("=")
        if equals and value and is_secret_name(name):
            result.append(f"{redact_lines(name)}={REDACTED}")  # the name may be a URL
            continue
        hide_next = argument.startswith("-") and not equals and is_secret_name(argument)
        result.append(redact_lines(argument))
    return result
