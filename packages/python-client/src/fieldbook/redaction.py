"""Keeps secrets out of journals: they are copied to every machine of a team.

A value goes when its *name* is that of a secret (``api_key``, ``--password``), or when it *looks* like one (a GitHub,
Hugging Face, OpenAI, AWS or Slack token, a JSON web token, a private key), or the part of a URL before ``@`` goes. Only
texts are touched, so ``token_dropout = 0.1`` stays.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from . import secret_patterns as patterns
from .secret_names import is_folder, is_login_token, is_secret_name, is_secret_path

__all__ = [
    "REDACTED",
    "is_secret_name",
    "is_secret_path",
    "known_secrets",
    "learn",
    "learn_environment",
    "redact_argv",
    "redact_lines",
    "redact_remote",
    "redact_source",
    "redact_text",
    "redact_unfinished",
    "redact_value",
]

REDACTED = "[redacted]"

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
        # A folder or a file says only where something is; PWD is named like a password.
        if is_secret_name(name) and name != "PWD" and not (is_folder(value) and os.path.exists(value)):
            learn(value)


def known_secrets() -> list[str]:
    """What was learned, to tell another process of ours."""
    return sorted(_known)


def _redact_known(text: str) -> str:
    return text if _known_pattern is None else _known_pattern.sub(REDACTED, text)


def redact_text(text: str) -> str:
    """The text without logins in URLs, without anything that looks like a token, and without known secrets."""
    return patterns.LOOKS_SECRET.sub(REDACTED, _redact_urls(_redact_known(text)))


def redact_lines(text: str) -> str:
    """Printed text: as :func:`redact_text`, and ``HF_TOKEN=…``, ``password: …`` and authorization headers.

    Fast for the usual line, which has none of them. As many lines come out as went in.
    """
    return _redact_all(_redact_known(text), bare=True)


def redact_unfinished(line: str) -> str:
    """A line that goes on: as :func:`redact_lines`, and without the beginning of what may become a secret at its end."""
    line = redact_lines(line)
    word = line[-4096:].rpartition(" ")[2]
    if any(len(word) >= 4 and secret.startswith(word.strip("\"'=:(")) for secret in _known if word.strip("\"'=:(")):
        return line[: len(line) - len(word)] + REDACTED
    return patterns.BEGINS_SECRET.sub(REDACTED, line)


def redact_source(content: bytes, name: str = "") -> tuple[bytes, int]:
    """Source code, configuration, a notebook or a patch: tokens, logins, known secrets, and literals assigned to names of secrets.

    ``name`` of the file says whether ``password: x`` is a literal (YAML, shell) or a variable (Python). Returns the bytes
    and how many places changed. Lines stay lines, so that a patch keeps its shape; what git encoded as binary stays as it is.
    """
    if name.lower().endswith(".ipynb"):
        from . import secret_notebook

        book = secret_notebook.redact(content)
        if book is not None:
            return book
    # latin-1 gives each byte a character and back.
    text = content.decode("latin-1")
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


_bare_suffixes = """
    .yaml .yml .toml .ini .cfg .conf .properties .sh .bash .zsh .slurm .sbatch .pbs .env .txt .md .json .lock .def .dockerfile
    """
_BARE_SUFFIXES = tuple(_bare_suffixes.split())
_BARE_NAMES = ("dockerfile", "containerfile", "makefile", "justfile", "singularity", ".env", "requirements")


def _has_bare_values(name: str) -> bool:
    name = name.lower().rpartition("/")[2]
    return name.endswith(_BARE_SUFFIXES) or name.startswith(_BARE_NAMES)


def _redact_urls(text: str) -> str:
    if "://" not in text:
        return text
    text = patterns.URL_LOGIN.sub(rf"\g<scheme>{REDACTED}@", text)
    text = patterns.URL_TOKEN.sub(rf"\g<head>{REDACTED}", text)
    return patterns.URL_VALUE.sub(_unqueried, text)


def _unqueried(match: re.Match[str]) -> str:
    key = match["key"].lower()
    named = key in ("key", "sig", "sign", "code", "auth") or key.endswith(("signature", "credential"))
    return f"{match['name']}{REDACTED}" if named or is_secret_name(key) else match.group()


#: What is behind the beginning of a call, and a cheap look for each.
_CALLS = (
    (("login(", "authenticate(", "set_api_key("), patterns.CALLED),
    (("identified",), patterns.SQL),
    (("curl", "mysql", "mariadb", "sshpass", "docker"), patterns.PROGRAM),
)


def _redact_all(text: str, bare: bool) -> str:
    # Looking for a word is some fifty times faster than trying patterns everywhere, and most lines have none of these.
    lower = text.lower()
    if any(hint in lower for hint in patterns.HINTS):
        text = patterns.LOOKS_SECRET.sub(_keep_lines, _redact_urls(text))
        if "authorization" in lower:
            text = patterns.AUTHORIZATION.sub(rf"\g<head>{REDACTED}", text)
        for hints, pattern in _CALLS:
            if any(hint in lower for hint in hints):
                text = pattern.sub(rf"\g<head>{REDACTED}", text)
    if any(hint in lower for hint in patterns.NAME_HINTS):
        if "bearer" in lower:
            text = patterns.BEARER.sub(rf"\g<head>{REDACTED}", text)
        if bare:
            text = patterns.LINE.sub(_line, text)
            text = patterns.DOCKER.sub(_named, text)
            text = patterns.LIST.sub(_list, text)
        text = _redact_assigned(text, bare)
        text = patterns.OPTION.sub(_option, text)
        text = patterns.PAIR.sub(_named, text)
        if "define_string" in lower:
            text = patterns.DEFINED.sub(_named, text)
        if "default" in lower:
            text = patterns.DEFAULT.sub(_named, text)
    return text


def _keep_lines(match: re.Match[str]) -> str:
    _, *rest = match.group().split("\n")
    # The first column of a patch says what becomes of a line.
    return "\n".join([REDACTED, *((line[:1] if line[:1] in ("+", "-", " ") else "") + REDACTED for line in rest)])


def _is_kept(name: str, value: str) -> bool:
    """True when the value is none of a secret: by its name, or because it only refers to one or was redacted before."""
    if not is_secret_name(name) or REDACTED[:-1] in value:
        return True
    lower = name.lower()
    if lower.endswith("token") and not is_login_token(value):
        return True  # "next token: Paris" of a language model
    if lower.endswith("pwd") and is_folder(value):
        return True
    return value.startswith(("$", "<", "{", "%")) or value in ("None", "null", "true", "false", "True", "False")


def _redact_assigned(text: str, bare: bool) -> str:
    # Only behind the name of a secret is the value passed over: the value of another may hold assignments itself.
    pieces: list[str] = []
    done = 0
    for hint in patterns.NAME_HINT.finditer(text):
        if hint.start() < done:
            continue
        # Back to where the name begins.
        before = patterns.NAME_END.search(text, max(done, hint.start() - 60), hint.start())
        match = patterns.ASSIGNED.match(text, before.start() if before is not None else hint.start())
        if match is None:
            continue
        name, between = match["name"], match["between"]
        if not is_secret_name(name):
            continue
        value = patterns.VALUE.match(text, match.end())
        if value is None or _is_kept(name, value["quoted"] or value["bare"]):
            continue
        if value["quoted"] is None and not bare and not _is_variable(name, between):
            continue  # code: token = tokenizer.next()
        quote = value["quote"] or ""
        pieces += [text[done : match.end()], quote, REDACTED, quote]
        done = value.end()
    return "".join([*pieces, text[done:]]) if pieces else text


def _list(match: re.Match[str]) -> str:
    if not is_secret_name(match["name"]):
        return match.group()
    return match["head"] + re.sub(r"(?m)^([+-]?[ \t]*- )[^\s<${%][^\n]*", rf"\g<1>{REDACTED}", match["items"])


def _line(match: re.Match[str]) -> str:
    value, name = match["value"].rstrip(), match["name"]
    if match["between"] == ":":
        value = re.split(r"[ \t]#", value, maxsplit=1)[0]
    else:
        value = value.split(None, 1)[0].rstrip("\"'")  # what follows in a shell is another command
    first = value.split(None, 1)[0] if name.lower().endswith("token") else value
    if _is_kept(name, first):
        return match.group()
    return f"{match['head']}{REDACTED}{match['value'][len(first) :]}"


def _named(match: re.Match[str]) -> str:
    return match.group() if _is_kept(match["name"], match["value"]) else f"{match['head']}{REDACTED}"


def _option(match: re.Match[str]) -> str:
    value = match["value"]
    prose = "," not in match["between"] and value.isalpha() and len(value) < 16  # "use --password to say"
    return match.group() if prose or re.match(r"\w+=", value) else _named(match)


def _is_variable(name: str, between: str) -> bool:
    """``HF_TOKEN=x`` as shells and env files write it."""
    return between == "=" and name.isupper()


def redact_value(path: str, text: str) -> str:
    """An attribute's text, by the parts of its path and by its look."""
    if text and is_secret_path(path) and not (path.lower().endswith("pwd") and is_folder(text)):
        # <|endoftext|> and [PAD] are tokens of a vocabulary.
        marks = text[0] + text[-1] in ("<>", "[]") and path.lower().endswith("token")
        return text if marks and redact_text(text) == text else REDACTED
    return redact_lines(text)


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
    long_flags: tuple[str, ...] = ()
    docker = False
    for argument in argv:
        # A single dash may begin a token.
        if hide_next and (not argument.startswith("-") or (argument[1:2] != "-" and len(argument) > 8)):
            result.append(REDACTED)
            hide_next = False
            continue
        hide_next = False
        program = argument.replace("\\", "/").rpartition("/")[2]
        if program in patterns.SECRET_FLAGS or program in patterns.SECRET_LONG_FLAGS:
            flags = patterns.SECRET_FLAGS.get(program, ())
            long_flags = patterns.SECRET_LONG_FLAGS.get(program, ())
        elif program == "login" and docker:
            flags = ("-p",)
        docker = program in ("docker", "podman") or (docker and argument.startswith("-"))
        short = argument[:2]
        if short in flags and not argument.startswith("--"):
            hide_next = len(argument) == 2
            result.append(argument if hide_next else f"{short}{REDACTED}")
            continue
        name, equals, value = argument.partition("=")
        plain = name[2:] if name.startswith("-D") else name
        if (
            equals
            and value
            and (is_secret_name(plain) or name in long_flags)
            and not (plain == "PWD" and is_folder(value))
        ):
            result.append(f"{redact_lines(name)}={REDACTED}")  # the name may be a URL
            continue
        hide_next = argument.startswith("-") and not equals and (is_secret_name(argument) or argument in long_flags)
        result.append(redact_lines(argument))
    return result
