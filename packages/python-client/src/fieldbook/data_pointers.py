"""Files that stand for data lying elsewhere: DVC's ``.dvc`` files and ``dvc.lock``, and pointers of git-lfs.

A pointer names its content by a digest, so a data version needs no content: a machine that has only the pointers and one
that has pulled the data name the same version. Only the few lines of YAML that DVC writes itself are understood.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: A pointer of git-lfs is shorter than 1024 bytes, as its specification says.
LFS_BYTES = 1024
_LFS_FIRST = b"version https://git-lfs.github.com/spec/v1\n"
#: A `.dvc` file or a lock of a large pipeline; more is something else.
_YAML_BYTES = 16 * 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?\Z")
_ITEM = re.compile(r"(\s*)-\s+(.*)\Z")
_PAIR = re.compile(r"""(\s*)(?:'([^']*)'|"([^"]*)"|([^\s'":#][^:]*?))\s*:(?:\s+(.*))?\Z""")


class Out:
    """What a pointer names: ``path`` relative to the pointer's folder, and its MD5, which ends in ``.dir`` for a folder."""

    __slots__ = ("files", "is_md5", "md5", "path", "size")

    def __init__(self, path: str, md5: str, size: int | None, files: int | None, is_md5: bool) -> None:
        self.path = path
        self.md5 = md5
        self.size = size
        self.files = files
        #: False for DVC before 3.0, whose digests of text files are not those of their bytes.
        self.is_md5 = is_md5


def read_lfs(head: bytes) -> tuple[str, int] | None:
    """SHA-256 and size that a pointer of git-lfs names; None for any other file. ``head`` is the whole of a short file."""
    if len(head) >= LFS_BYTES or not head.startswith(_LFS_FIRST):
        return None
    oid = re.search(rb"^oid sha256:([0-9a-f]{64})$", head, re.MULTILINE)
    size = re.search(rb"^size ([0-9]{1,18})$", head, re.MULTILINE)
    return (oid[1].decode(), int(size[1])) if oid and size else None


def read_dvc(path: str) -> list[Out]:
    """What a ``.dvc`` file or a ``dvc.lock`` names; nothing for a file that is neither. Raises ``OSError``."""
    with open(path, "rb") as file:
        text = file.read(_YAML_BYTES).decode("utf-8", "replace")
    found = []
    # Where the paths of a `.dvc` file begin, when that is not its own folder.
    folder = re.search(r"^wdir:[ \t]+(.+)$", text, re.MULTILINE)
    for item in _outs(text.splitlines()):
        md5, name = item.get("md5"), item.get("path")
        if name and md5 and _MD5.match(md5):
            if folder is not None:
                name = os.path.normpath(os.path.join(_scalar(folder[1]), name))
            size, files = _count(item.get("size")), _count(item.get("nfiles"))
            found.append(Out(name, md5, size, files, item.get("hash") == "md5"))
    return found


def _outs(lines: list[str]) -> list[dict[str, str]]:
    """The items of every list under a key ``outs``, as the flat mappings that DVC writes."""
    items: list[dict[str, str]] = []
    outs: int | None = None
    item: dict[str, str] | None = None
    inner = 0
    for raw in lines:
        line = raw
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if outs is not None:
            match = _ITEM.match(line)
            if match and indent >= outs and (item is None or indent < inner):
                item = {}
                items.append(item)
                inner = indent + 2
                line = " " * inner + match[2]
                indent = inner
            elif indent <= outs:
                outs, item = None, None
        pair = _PAIR.match(line)
        if pair is None:
            continue
        key = next(part for part in pair.groups()[1:4] if part is not None)
        if outs is None:
            if key == "outs" and not pair[5]:
                outs = indent
        elif item is not None and indent == inner:
            item[key] = _scalar(pair[5] or "")
    return items


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        import json

        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text.split(" #", 1)[0].rstrip()


def _count(text: Any) -> int | None:
    return int(text) if isinstance(text, str) and text.isdigit() and len(text) <= 18 else None


def outs_beside(path: str) -> Out | None:
    """The pointer that stands for ``path``: of ``<path>.dvc``, or of a ``dvc.lock`` in a folder above it."""
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    for out in _quietly(path + ".dvc"):
        if out.path == name:
            return out
    while True:
        lock = os.path.join(folder, "dvc.lock")
        wanted = os.path.relpath(path, folder).replace(os.sep, "/")
        for out in _quietly(lock):
            if os.path.normpath(out.path).replace(os.sep, "/") == wanted:
                return Out(wanted, out.md5, out.size, out.files, out.is_md5)
        # A repository is where the search ends, as DVC's does.
        above = os.path.dirname(folder)
        if (
            above == folder
            or os.path.isdir(os.path.join(folder, ".dvc"))
            or os.path.exists(os.path.join(folder, ".git"))
        ):
            return None
        folder = above


def _quietly(path: str) -> list[Out]:
    try:
        return read_dvc(path)
    except OSError:
        return []
