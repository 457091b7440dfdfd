"""The spool folder of a writer: files that wait beside the journal until an agent has stored them.

A file is complete in the spool when :func:`keep` returns, so the training may delete, rotate or rewrite its own copy at
once. It is written or linked under ``.<name>.part`` and renamed, and only then does a record name it: a reader never
sees half of one, and whatever a dying process leaves is named by nothing and goes away with its writer.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator

from .console import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Union

    #: Writes a file to the path that it is given.
    Making = Callable[[str], None]
    Source = Union[str, os.PathLike[str], bytes, bytearray, IO[bytes], IO[str], Making]


#: Characters of a name in the spool folder, the number in front of it included.
NAME_LIMIT = 120
#: Bytes of one read or one call of the kernel's copying: large enough to cost nothing, small enough for Ctrl-C.
PIECE = 8 * 1024 * 1024
#: ``_IOW(0x94, 9, int)`` of linux/fs.h: the two files share their blocks until one of them is written to.
_FICLONE = 0x40049409

_UNUSABLE = re.compile(r"[^A-Za-z0-9._-]+")
_numbers = itertools.count()


def keep(
    folder: str,
    source: Source,
    name: str,
    *,
    link: bool = False,
    digest: bool = False,
) -> dict[str, Any]:
    """Puts a file into a spool folder: of a path, of bytes, of something with ``read()``, or written by a function that is
    given the path to write to. Returns what a record says of it.

    ``{"spool", "name", "size", "mtime", "sha256"}``: ``mtime`` in ms since the Unix epoch (None for what had none),
    ``sha256`` of bytes, and of all else when ``digest`` asks for it (a copy by the file system reads nothing), or None.

    ``link`` hard-links instead of copying where it can: only for files that will be replaced or deleted, never rewritten
    in place, because both names are one file.

    Trouble of the machine is not raised: ``spool`` and ``sha256`` are then None and ``lost`` says why (``"ENOSPC"``,
    ``"EACCES"``, ``"vanished"`` …). It is told once per reason. What else ``read()`` or the function raises is.
    """
    size, mtime, found = 0, None, None
    try:
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        if path is not None:
            about = os.stat(path)
            size, mtime = about.st_size, about.st_mtime * 1000.0
        elif isinstance(source, _BYTES):
            size = len(source)
        place, part, spool = _place(folder, name)
        try:
            if path is not None:
                if not (link and _link(path, part)):
                    copy(path, part)
            elif isinstance(source, _BYTES):
                found = sha256(source)
                _write(part, (source,))
            elif hasattr(source, "read"):
                _write(part, _pieces(source))
            elif callable(source):
                source(part)
            size = os.stat(part).st_size
            if digest and found is None:
                found = sha256_of_file(part)
            os.rename(part, place)
        except BaseException:
            _remove_quietly(part)
            raise
        return {"spool": spool, "name": name, "size": size, "mtime": mtime, "sha256": found}
    except OSError as error:
        reason = _reason(error, source)
        warn_once(
            f"spool {reason}",
            f"the file {name!r} could not be kept: {error.strerror or error} ({reason}). The run names it and says so; "
            "the training goes on.",
        )
        return {"spool": None, "name": name, "size": size, "mtime": mtime, "sha256": None, "lost": reason}


_BYTES = (bytes, bytearray)


def _pieces(file: Any) -> Iterator[bytes | bytearray]:
    """The rest of an open file, of texts or bytes."""
    while True:
        piece = file.read(PIECE)
        if isinstance(piece, str):
            piece = piece.encode("utf-8", "replace")
        if not isinstance(piece, _BYTES):
            raise TypeError(f"source.read() must return bytes or a string, not {type(piece).__name__}")
        if not piece:
            return
        yield piece


def sha256(data: bytes | bytearray) -> str:
    """The SHA-256 of bytes, hexadecimal."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: str) -> str:
    """The SHA-256 of a file's content, hexadecimal. Raises ``OSError``."""
    import hashlib

    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while True:
            piece = file.read(PIECE)
            if not piece:
                return found.hexdigest()
            found.update(piece)


def _place(folder: str, name: str) -> tuple[str, str, str]:
    """Final path, path while in the making, and name of a new file of the folder, which is made when it is missing."""
    os.makedirs(folder, exist_ok=True)
    plain = _UNUSABLE.sub("_", name.rpartition("/")[2]) or "file"
    while True:
        spool = f"{next(_numbers):06d}-"
        # The end of a name says what the file is.
        spool += plain[-(NAME_LIMIT - len(spool)) :]
        place = os.path.join(folder, spool)
        if not os.path.lexists(place):
            return place, os.path.join(folder, f".{spool}.part"), spool


def _create(part: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(part, flags, 0o666)


def _write(part: str, pieces: Iterable[bytes | bytearray]) -> None:
    fd = _create(part)
    try:
        for piece in pieces:
            _write_all(fd, memoryview(piece))
    finally:
        os.close(fd)


def _write_all(fd: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.write(fd, data[done : done + PIECE])


def _link(path: str, part: str) -> bool:
    try:
        _remove_quietly(part)
        os.link(os.path.realpath(path), part)
        return True
    except (OSError, AttributeError):  # another file system, somebody else's file, a system without links
        return False


def copy(path: str, part: str) -> None:
    """The cheapest copy that the two file systems allow: shared blocks, then a copy inside the kernel, then by hand."""
    source = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        target = _create(part)
        try:
            if not _clone(source, target):
                _copy_bytes(source, target, os.fstat(source).st_size)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _clone(source: int, target: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
        return True
    except (ImportError, OSError):
        return False


def _copy_bytes(source: int, target: int, size: int) -> None:
    """As many bytes as the file had when it was opened, or up to its end: a log that grows does not hold us for ever."""
    done = _copy_in_kernel(source, target, size)
    # What reports no size (a file of /proc) is read to its end; so is the rest where the kernel would not.
    while done < size or size == 0:
        piece = os.read(source, PIECE if size == 0 else min(PIECE, size - done))
        if not piece:
            return
        _write_all(target, memoryview(piece))
        done += len(piece)


def _copy_in_kernel(source: int, target: int, size: int) -> int:
    copy = getattr(os, "copy_file_range", None)
    done = 0
    while copy is not None and done < size:
        try:
            count = copy(source, target, min(PIECE * 16, size - done))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
                raise
            break
        if count == 0:
            break
        done += count
    return done


def _reason(error: OSError, source: Any) -> str:
    if error.errno == errno.ENOENT and isinstance(source, (str, os.PathLike)) and not os.path.exists(source):
        return "vanished"
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
