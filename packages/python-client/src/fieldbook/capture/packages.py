"""Installed packages and the Python that has them, read from the folders of ``sys.path``: no pip, no conda is run.

The folders are those of the training process; the process that reads them may have others. Reading the first lines of each
METADATA is some thirty times cheaper than :mod:`importlib.metadata`, whose parser reads every line of it as a mail.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable

from ..redaction import redact_remote, redact_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PACKAGES = 5000
_NAME = re.compile(r"^Name:[ \t]*(\S+)", re.MULTILINE)
_VERSION = re.compile(r"^Version:[ \t]*(\S+)", re.MULTILINE)
_CONDA_TOKEN = re.compile(r"/t/[^/]+/")


class Package:
    """A distribution: ``name``, ``version``, and where it comes from when not from an index."""

    __slots__ = ("commit", "editable", "name", "url", "vcs", "version")

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.editable = False
        #: Of a checkout, an archive or a folder; without login.
        self.url: str | None = None
        self.vcs: str | None = None
        self.commit: str | None = None

    def requirement(self) -> str:
        """A line that pip understands; a comment for a folder of this machine, whose path is nobody else's."""
        if self.vcs and self.url:
            place = f"{self.vcs}+{self.url}@{self.commit}" if self.commit else f"{self.vcs}+{self.url}"
            return f"-e {place}#egg={self.name}" if self.editable else f"{self.name} @ {place}"
        if self.url and self.url.startswith("file:"):
            return f"# {self.name}=={self.version} from {self.url}{' (editable)' if self.editable else ''}"
        if self.url:
            return f"{self.name} @ {self.url}"
        return f"{self.name}=={self.version}"


def installed(path: Iterable[str]) -> list[Package]:
    """Distributions along a search path, sorted by name; of two with one name the first on the path holds."""
    found: dict[str, Package] = {}
    for folder in path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for name in names:
            package = None
            if name.endswith(".dist-info"):
                package = _read(os.path.join(folder, name), "METADATA", name[:-10])
            elif name.endswith(".egg-info"):
                package = _read(os.path.join(folder, name), "PKG-INFO", name[:-9])
            if package is not None:
                found.setdefault(re.sub(r"[-_.]+", "-", package.name).lower(), package)
        if len(found) > PACKAGES:
            break
    return [found[key] for key in sorted(found)]


def describe(packages: list[Package]) -> dict[str, Any]:
    """Section ``packages``: ``{"packages": {name: version}, "direct": {name: {"url", "vcs", "commit", "editable"}}}``."""
    direct = {
        package.name: {"url": package.url, "vcs": package.vcs, "commit": package.commit, "editable": package.editable}
        for package in packages
        if package.url or package.editable
    }
    return {"packages": {package.name: package.version for package in packages}, "direct": direct}


def requirements(packages: list[Package]) -> str:
    """``requirements.txt`` of what is installed."""
    return "".join(f"{package.requirement()}\n" for package in packages)


def conda(prefix: str | None, environ: dict[str, str] | None = None) -> tuple[dict[str, Any], str] | None:
    """Section ``conda`` (``name``, ``prefix``, ``packages``) and the explicit list that ``conda create --file`` takes, of the environment
    at ``prefix``; None when that is none of conda's."""
    folder = os.path.join(prefix or "", "conda-meta")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json")) if prefix else []
    except OSError:
        return None
    if not prefix or not (names or os.path.exists(os.path.join(folder, "history"))):
        return None
    lines = ["@EXPLICIT"]
    packages: dict[str, str] = {}
    for name in names[:PACKAGES]:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                about = json.loads(file.read(1 << 24))
        except (OSError, ValueError):
            continue
        url = about.get("url") if isinstance(about, dict) else None
        if isinstance(url, str):
            digest = about.get("md5")
            line = redact_remote(_CONDA_TOKEN.sub("/", url))
            lines.append(f"{line}#{digest}" if isinstance(digest, str) else line)
        plain, version, build = [*name[:-5].rsplit("-", 2), "", ""][:3]
        packages[plain] = f"{version}={build}"
    active = (environ or {}).get("CONDA_DEFAULT_ENV") if (environ or {}).get("CONDA_PREFIX") == prefix else None
    return {"name": active or os.path.basename(prefix), "prefix": prefix, "packages": packages}, "\n".join(lines) + "\n"


def interpreter() -> dict[str, Any]:
    """Section ``python``, of the process that asks: ``version``, ``implementation``, ``executable``, ``prefix``, ``virtualenv``,
    ``flags``, and ``torch`` and ``cuda`` when torch is imported already."""
    found: dict[str, Any] = {
        "version": ".".join(map(str, sys.version_info[:3])),
        "build": sys.version.replace("\n", " ")[:200],
        "implementation": sys.implementation.name,
        "executable": sys.executable or None,
        "prefix": sys.prefix,
        "virtualenv": sys.prefix if sys.prefix != sys.base_prefix else None,
        "optimize": sys.flags.optimize,
    }
    torch = sys.modules.get("torch")
    version = getattr(torch, "version", None)
    for name, place, key in (("torch", torch, "__version__"), ("cuda", version, "cuda"), ("hip", version, "hip")):
        value = getattr(place, key, None)
        if isinstance(value, str):
            found[name] = str(value)
    return found


def _read(place: str, file: str, fallback: str) -> Package | None:
    try:
        path = os.path.join(place, file) if os.path.isdir(place) else place
        with open(path, "rb") as opened:
            head = opened.read(4096).decode("utf-8", "replace")
    except OSError:
        head = ""
    name, version = _NAME.search(head), _VERSION.search(head)
    if name is None or version is None:
        plain, _, number = fallback.partition("-")
        if not plain or not number:
            return None
        package = Package(plain, number)
    else:
        package = Package(name[1], version[1])
    _origin(package, os.path.join(place, "direct_url.json"))
    return package


def _origin(package: Package, path: str) -> None:
    """PEP 610."""
    try:
        with open(path, "rb") as file:
            said = json.loads(file.read(1 << 16))
    except (OSError, ValueError):
        return
    if not isinstance(said, dict) or not isinstance(said.get("url"), str):
        return
    package.url = redact_remote(said["url"]) if not said["url"].startswith("file:") else redact_text(said["url"])
    vcs, folder = said.get("vcs_info"), said.get("dir_info")
    if isinstance(vcs, dict):
        package.vcs = str(vcs.get("vcs", ""))[:20] or None
        package.commit = str(vcs.get("commit_id", ""))[:64] or None
    if isinstance(folder, dict):
        package.editable = folder.get("editable") is True
