"""Which files are secrets as a whole: keys, logins of tools, what a Jupyter kernel is reached by. They are never read into a run.

By name first, then by content: a command line may name ``tmpqx3.json``, and that is a kernel's connection file with its key.
"""

from __future__ import annotations

import os
import re

from .secret_names import is_secret_name

_NAME = re.compile(
    r"(?i)^\.env|\.env$|^\.?(netrc|pgpass|pypirc|npmrc|htpasswd|dockercfg|git-credentials|condarc|s3cfg|boto|mylogin\.cnf|vault-token)$"
    r"|^id_(rsa|dsa|ecdsa|ed25519)|\.(pem|key|p12|pfx|jks|keystore|kdbx|asc|gpg|ppk|ovpn|tfstate|tfvars)$|credential|secret|\bcreds\b"
    r"|service[-_]?account|adminsdk|kubeconfig|kaggle\.json$|token\.(json|txt)$|^auth\.json$|^(pip|rclone)\.conf$"
    r"|^kernel-([0-9a-f]{8}-[0-9a-f-]+|\d+)\.json$|^(jp|nb)server-.*\.(json|html)$|^jupyter_(server|notebook)_config\.json$"
)
#: Files of values; their name can be that of a secret, like ``api_key.txt``. A ``password.py`` is a program.
_VALUES = (".txt", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".md", ".properties", ".env", ".xml")
_FOLDERS = frozenset(
    [".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".jupyter", ".huggingface", ".password-store", "gcloud"]
)
_MOUNTS = ("/run/secrets/", "/var/run/secrets/", "/etc/secrets/")
#: Of every pattern in a group, one is there.
_CONTENTS: tuple[tuple[re.Pattern[bytes], ...], ...] = tuple(
    tuple(re.compile(pattern) for pattern in group)
    for group in (
        (rb"[\"']?signature_scheme[\"']?\s*:", rb"(?:shell|hb|stdin|iopub)_port"),  # a Jupyter kernel
        (rb'"token"\s*:', rb'"(?:root_dir|notebook_dir)"\s*:', rb'"pid"\s*:'),  # a Jupyter server
        (
            rb"[\"']?type[\"']?\s*:\s*[\"']?(?:service_account|authorized_user|external_account)\b",
            rb"(?:private_key|refresh_token|credential_source)",
        ),
        (rb'"(?:installed|web)"\s*:\s*\{', rb'"client_secret"\s*:'),
        (rb'"auths"\s*:\s*\{', rb'"(?:auth|identitytoken|password)"\s*:'),  # Docker's logins
        (rb"(?m)^\s*[\"']?kind[\"']?\s*:\s*[\"']?Config\b", rb"(?m)[\"']?(?:users|contexts)[\"']?\s*:"),
        (rb"client-key-data|client-certificate-data",),
        (rb"(?m)^\s*[\"']?kind[\"']?\s*:\s*[\"']?Secret\b", rb"(?m)[\"']?(?:data|stringData)[\"']?\s*:"),
        (rb"(?m)^\s*(?:machine\s+\S+|default)\s+(?:login|account|password)\s+\S+", rb"(?m)\bpassword\s+\S+"),
        (rb"(?m)^\s*aws_secret_access_key\s*=",),
        (rb"\A\s*(?:-----BEGIN [A-Z ]*PRIVATE KEY-----|PuTTY-User-Key-File|---- BEGIN SSH2)",),
    )
)
#: As much of a content is looked at.
LOOK_BYTES = 256 * 1024


def is_secret_file(path: str) -> bool:
    """True for ``.env``, private keys and the like, by name or by the folder they lie in."""
    path = path.replace("\\", "/")
    *folders, name = path.split("/")
    if _NAME.search(name) is not None or _FOLDERS.intersection(folders) or path.startswith(_MOUNTS):
        return True
    stem, suffix = os.path.splitext(name)
    return suffix.lower() in _VALUES and is_secret_name(stem)


def is_secret_content(name: str, content: bytes) -> bool:
    """True when a file of values is what a tool keeps its logins or keys in. A program only talks of such things."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix and suffix not in _VALUES:
        return False
    head = content[:LOOK_BYTES]
    return any(all(pattern.search(head) for pattern in group) for group in _CONTENTS)


def without_secret_files(patch: bytes) -> tuple[bytes, list[str]]:
    """A patch of git without the changes of such files; and the names of those."""
    parts = [(part, _secret_of(part)) for part in re.split(rb"(?m)^(?=diff --git )", patch)]
    return b"".join(part for part, name in parts if name is None), [name for _, name in parts if name is not None]


def _secret_of(part: bytes) -> str | None:
    head, _, body = part.partition(b"\n")
    before, found, after = os.fsdecode(head).rpartition(" b/")
    if not found:
        before, _, after = os.fsdecode(head).rpartition(' "b/')
    name = after.rstrip('"')
    old = before.partition("a/")[2].rstrip('"')
    if is_secret_file(name) or is_secret_file(old):
        return name
    for mark in (b"+", b"-"):
        lines = [line[1:] for line in body.split(b"\n") if line[:1] in (mark, b" ")]
        if is_secret_content(name, b"\n".join(lines)):
            return name
    return None
