"""Which names are those of secrets: of variables, options, attributes, keys of a configuration.

Names are split into words, so ``max_tokens``, ``tokenizer`` and ``author`` are none.
"""

from __future__ import annotations

import re

_secret_words = """
    secret secrets password passwords passwd passphrase pwd credential credentials apikey authtoken accesstoken bearer cookie jwt
    """
SECRET_WORDS = frozenset(_secret_words.split())
#: Words that end like this: PGPASSWORD, DBPASSWD, clientsecret.
_SECRET_ENDS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "authtoken",
    "accesstoken",
)
#: What stands before ``key`` when it opens something. A ``sort_key`` or ``primary_key`` does not.
_opening_keys = """
    api access private secret auth signing encryption account ssh license storage master deploy hmac fernet session service client
    shared sas webhook tls ssl gpg pgp jwt openai anthropic cohere mistral groq wandb comet neptune clearml github gitlab aws
    azure gcp google hf huggingface replicate langchain langsmith pinecone stripe sendgrid twilio
    """
_OPENING_KEYS = frozenset(_opening_keys.split())
_OPENING_LISTS = frozenset(["api", "access", "private", "secret", "ssh"])
#: What stands before ``pass`` when it is a password, and not the forward one.
_logins = """
    db database user smtp imap mail email redis mysql pg postgres mongo sql ftp ssh sudo root admin http proxy login rabbit ldap
    elastic broker mqtt
    """
_LOGINS = frozenset(_logins.split())
_PERSONAL = frozenset(["github", "gitlab", "gh", "azure", "ado", "devops", "git"])
_FUSED_TOKENS = frozenset(
    f"{word}token" for word in ["hf", "gh", "gl", "api", "refresh", "session", "csrf", "bot", "slack", "wandb"]
)
#: Tokens of a vocabulary, not of a login.
_model_tokens = """
    pad eos bos sos eot sot mask unk sep cls class end start special stop image audio video vision max min num per next new first
    last trigger prefix placeholder initializer rare instance register separator speaker pool think
    """
_MODEL_TOKENS = frozenset(_model_tokens.split())
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def is_secret_name(name: str) -> bool:
    """True when a value of this name should not be shown: ``db_password``, ``HF_TOKEN``, ``apiKey``, ``PGPASSWORD``."""
    words = [word.lower() for word in _WORDS.findall(name)]
    for index, word in enumerate(words):
        before = words[index - 1] if index > 0 else ""
        last = index == len(words) - 1
        if word in SECRET_WORDS or word.endswith(_SECRET_ENDS):
            return True
        if word == "key" and before in _OPENING_KEYS:
            return True
        if word == "keys" and before in _OPENING_LISTS:
            return True
        if last and word == "token" and before not in _MODEL_TOKENS:
            return True
        if last and (word in _FUSED_TOKENS or (word == "pass" and before in _LOGINS)):
            return True
        if last and word == "pat" and before in _PERSONAL:
            return True
    return False


def is_secret_path(path: str) -> bool:
    """True when the last part is a secret's name, or a part above it is: ``secrets/db``. A number is an item of the part above."""
    parts = path.split("/")
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    *above, last = parts
    return is_secret_name(last) or any(part.lower() in SECRET_WORDS for part in above)


def is_login_token(value: str) -> bool:
    """Whether the value of something called a token can be one of a login: "next token: Paris" of a language model is none."""
    return value.isascii() and len(value) >= (8 if any(c.isdigit() for c in value) else 16)


def is_folder(value: str) -> bool:
    """``PWD`` is where a shell is, and no password."""
    return value.startswith(("/", "~", "./", "../")) or re.match(r"[A-Za-z]:[\\/]", value) is not None
