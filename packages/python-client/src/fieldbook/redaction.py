"""Keeps secrets out of journals: they are copied to every machine of a team.

A value goes when its *name* is that of a secret (``api_key``, ``--password``), or when it *looks* like one (a GitHub,
Hugging Face, OpenAI, AWS or Slack token, a JSON web token), or the part of a URL before ``@`` goes. Names are split into
words, so ``max_tokens``, ``tokenizer`` and ``author`` stay; only texts are touched, so ``token_dropout = 0.1`` stays too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

REDACTED = "[redacted]"

_SECRET_WORDS = frozenset(
    [
        "secret",
        "secrets",
        "password",
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
_URL_LOGIN = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@]+@")
_URL_SECRET = re.compile(r"(?i)(?P<name>[?&](?:[\w-]*(?:token|key|secret|password|signature|sig))=)[^&\s#]+")
_LOOKS_SECRET = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}|sk-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*|npm_[A-Za-z0-9]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*)"
)


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


def redact_text(text: str) -> str:
    """The text without logins in URLs and without anything that looks like a token."""
    if "://" in text:
        text = _URL_LOGIN.sub(rf"\g<scheme>{REDACTED}@", text)
        text = _URL_SECRET.sub(rf"\g<name>{REDACTED}", text)
    return _LOOKS_SECRET.sub(REDACTED, text)


def redact_value(path: str, text: str) -> str:
    """An attribute's text, by its path's last part and by its look."""
    if text and is_secret_name(path.rsplit("/", 1)[-1]):
        return REDACTED
    return redact_text(text)


def redact_argv(argv: Sequence[str]) -> list[str]:
    """A command line: ``--token abc`` and ``--token=abc`` lose the value."""
    result: list[str] = []
    hide_next = False
    for argument in argv:
        if hide_next and not argument.startswith("-"):
            result.append(REDACTED)
            hide_next = False
            continue
        hide_next = False
        name, equals, value = argument.partition("=")
        if equals and value and is_secret_name(name):
            result.append(f"{name}={REDACTED}")
            continue
        hide_next = argument.startswith("-") and not equals and is_secret_name(argument)
        result.append(redact_text(argument))
    return result
