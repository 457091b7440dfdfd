"""Finds the file of the notebook that a kernel runs, by what its front end left: VS Code, Jupyter's variable, or the servers of
this machine, asked with the token of their own runtime files. Only addresses of this machine are asked."""

from __future__ import annotations

import glob
import json
import os
import sys
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: With all its pictures.
FILE_BYTES = 16 * 1024 * 1024
SECONDS = 1.0
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "")


def find(hints: dict[str, Any]) -> str | None:
    """Path of the ``.ipynb``. ``hints``: ``path`` (what the front end says it is), ``kernel`` (its id), ``cwd``."""
    said = hints.get("path")
    for folder in (None, hints.get("cwd")):
        path = os.path.join(folder, str(said)) if folder else str(said or "")
        if path.endswith(".ipynb") and os.path.isabs(path) and os.path.isfile(path):
            return path
    kernel = hints.get("kernel")
    return _of_servers(str(kernel), runtime_folders(os.environ)) if kernel else None


def runtime_folders(environ: Any) -> list[str]:
    """Where Jupyter servers leave how they can be reached."""
    home = os.path.expanduser("~")
    folders = [environ.get("JUPYTER_RUNTIME_DIR")]
    if environ.get("JUPYTER_DATA_DIR"):
        folders.append(os.path.join(environ["JUPYTER_DATA_DIR"], "runtime"))
    if environ.get("XDG_DATA_HOME"):
        folders.append(os.path.join(environ["XDG_DATA_HOME"], "jupyter", "runtime"))
    if sys.platform == "darwin":
        folders.append(os.path.join(home, "Library", "Jupyter", "runtime"))
    folders.append(os.path.join(home, ".local", "share", "jupyter", "runtime"))
    return [folder for folder in folders if folder]


def _of_servers(kernel: str, folders: list[str]) -> str | None:
    servers = [
        path
        for folder in folders
        for kind in ("jpserver-*.json", "nbserver-*.json")
        for path in glob.glob(os.path.join(folder, kind))
    ]
    for path in sorted(servers, key=_mtime, reverse=True)[:10]:
        try:
            with open(path, "rb") as file:
                server = json.loads(file.read(1 << 16))
            found = _ask(server, kernel)
        except (OSError, ValueError, TypeError, AttributeError):
            continue
        if found is not None:
            return found
    return None


def _ask(server: dict[str, Any], kernel: str) -> str | None:
    from urllib.request import ProxyHandler, Request, build_opener

    url = str(server.get("url", ""))
    if urlsplit(url).scheme not in ("http", "https") or (urlsplit(url).hostname or "") not in _LOCAL:
        return None
    token = server.get("token") or os.environ.get("JPY_API_TOKEN") or ""
    request = Request(url.rstrip("/") + "/api/sessions", headers={"Authorization": f"token {token}"} if token else {})
    # Never through a proxy: it would see the token.
    with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as answer:
        sessions = json.loads(answer.read(1 << 22))
    root = server.get("root_dir") or server.get("notebook_dir") or ""
    for session in sessions:
        if session.get("kernel", {}).get("id") == kernel:
            path = session.get("path") or session.get("notebook", {}).get("path") or ""
            path = os.path.join(str(root), str(path))
            return path if path.endswith(".ipynb") and os.path.isfile(path) else None
    return None


def _mtime(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
