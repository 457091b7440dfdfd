"""The list of a data version and its tree digest, as docs/formats/files.md has them.

The golden files of ``tests/golden/data`` hold what this writes and ``packages/core/src/data`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: How a file's content is named, by the key that its line has.
ALGORITHMS = ("sha256", "md5", "etag", "none")
#: Notes for people in the first line: what was left out, what changed meanwhile.
NOTES = 20


class Line:
    """One file: path below the root, size, and how its content is named."""

    __slots__ = ("algorithm", "digest", "extra", "mtime", "path", "size")

    def __init__(
        self,
        path: str,
        size: int,
        algorithm: str,
        digest: str,
        mtime: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.size = size
        self.algorithm = algorithm
        self.digest = digest
        self.mtime = mtime
        self.extra = extra or {}


def in_order(lines: Iterable[Line]) -> list[Line]:
    """By path, as UTF-8 bytes compare."""
    return sorted(lines, key=lambda line: line.path.encode())


def tree_digest(lines: Iterable[Line]) -> str:
    """SHA-256, hexadecimal, of lines in order: the same for the same data, wherever and whenever it lies."""
    import hashlib

    found = hashlib.sha256()
    for line in lines:
        found.update(f"{line.path}\0{line.size}\0{line.algorithm}:{line.digest}\n".encode())
    return found.hexdigest()


def encode(lines: list[Line], *, root: str, source: str, digest: str, notes: list[str] | None = None) -> bytes:
    """The list as JSON lines, the head first."""
    head: dict[str, Any] = {
        "fieldbook.data": 1,
        "root": root,
        "files": len(lines),
        "bytes": sum(line.size for line in lines),
        "digest": digest,
        "from": source,
    }
    if notes:
        head["notes"] = [note[:500] for note in notes[:NOTES]]
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    rows = [dump(head)]
    for line in lines:
        row: dict[str, Any] = {"path": line.path, "size": line.size, line.algorithm: line.digest}
        if line.mtime is not None:
            row["mtime"] = round(line.mtime)
        row.update(line.extra)
        rows.append(dump(row))
    return ("\n".join(rows) + "\n").encode()


def decode(data: bytes) -> tuple[dict[str, Any], list[Line]]:
    """The head and the lines. Raises ``ValueError`` for what is no list, or one whose digest is not that of its lines."""
    rows = data.decode().split("\n")
    if rows and rows[-1] == "":
        rows.pop()
    if not rows:
        raise ValueError("this is not the list of a data version: it is empty")
    head = json.loads(rows[0])
    if not isinstance(head, dict) or head.get("fieldbook.data") != 1:
        raise ValueError("this is not the list of a data version, or one of a newer Fieldbook")
    lines = [_line(json.loads(row), number) for number, row in enumerate(rows[1:], 2)]
    for before, after in zip(lines, lines[1:]):
        if before.path.encode() >= after.path.encode():
            raise ValueError(f"the list is not in order at {after.path!r}")
    if head.get("digest") != tree_digest(lines):
        raise ValueError("the digest of the list is not that of its lines")
    return head, lines


def _line(row: Any, number: int) -> Line:
    names = [name for name in ALGORITHMS if isinstance(row, dict) and isinstance(row.get(name), str)]
    if len(names) != 1 or not isinstance(row.get("path"), str) or type(row.get("size")) is not int:
        raise ValueError(f"line {number} of the list names no file")
    extra = {key: value for key, value in row.items() if key not in ("path", "size", "mtime", names[0])}
    return Line(row["path"], row["size"], names[0], row[names[0]], row.get("mtime"), extra)
