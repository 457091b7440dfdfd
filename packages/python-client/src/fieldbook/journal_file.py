"""The files of one writer on disk: creating, rotating, bringing back, cutting off.

One instance belongs to one process. ``size`` and ``sequence`` describe what is known to be in the open file; while a
write is under way ``steady`` is false, and whoever comes next calls :meth:`recover`, which asks the file itself.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping

from . import journal, lock
from .console import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class JournalFile:
    """The open file of a writer, and how to get to the next one. Methods raise ``OSError`` when the disk refuses."""

    def __init__(self, folder: str, writer: str, meta: Callable[[str | None], Mapping[str, Any]]) -> None:
        self.folder = folder
        self.writer = writer
        #: META's content, given the kind of lock that the file got.
        self._meta = meta
        self.fd = -1
        #: Device and inode behind ``fd``: a program that closes all descriptors may open a file of its own under the number.
        self._identity: tuple[int, int] | None = None
        self.number = -1
        #: Bytes up to the end of the last record that was written whole.
        self.size = 0
        #: Sequence number of the next record.
        self.sequence = 0
        self.nonce_check = 0
        #: Numbers of the metrics declared in this file.
        self.declared: set[int] = set()
        self.steady = True
        #: Not even cutting off a half record worked: go on in a new file.
        self.broken = False

    @property
    def usable(self) -> bool:
        """True when records can be appended."""
        return self.fd >= 0 and not self.broken

    def path_of(self, number: int) -> str:
        """The path of the file with a rotation number."""
        return os.path.join(self.folder, f"{self.writer}.{number:06d}.fbj")

    def open_next(self) -> None:
        """Creates the next file with header and META, takes its lock, and makes it the current one."""
        os.makedirs(self.folder, exist_ok=True)
        number = self.number + 1
        while os.path.lexists(self.path_of(number)):
            number += 1  # left by an attempt that could not even be removed
        path = self.path_of(number)
        fd = _create(path)
        try:
            nonce = os.urandom(16)
            check = zlib.crc32(nonce)
            meta = journal.to_json(self._meta(lock.hold(fd)))
            data = journal.header(nonce, number, self.sequence, self.writer)
            data += journal.frame(check, self.sequence, journal.META, meta)
            _write_all(fd, data)
        except BaseException:
            _close_quietly(fd)
            _remove_quietly(path)
            raise
        last, before = self.fd, self._identity
        self.fd, self._identity = fd, _identity(fd)
        self.number = number
        self.nonce_check = check
        self.size = len(data)
        self.sequence += 1
        self.declared = set()
        self.steady = True
        self.broken = False
        if last >= 0 and _identity(last) == before:
            _close_quietly(last)

    def rotate(self, now: float) -> bool:
        """Goes on in a new file. False when it cannot be made: then the old one is good for longer."""
        last, check, sequence = os.dup(self.fd), self.nonce_check, self.sequence
        try:
            # ROTATED is the old file's last record and has a sequence number, so the new file begins behind it.
            self.sequence += 1
            try:
                self.open_next()
            except OSError:
                self.sequence = sequence
                return False
            os.write(last, journal.frame(check, sequence, journal.ROTATED, journal.rotated(now, self.number)))
        except OSError:
            pass  # readers also know a finished file by the next one's existence
        finally:
            _close_quietly(last)
        return True

    def deleted(self) -> bool:
        """True when somebody deleted the file under us."""
        return self._ours() and os.fstat(self.fd).st_nlink == 0

    def restore(self) -> None:
        """Writes a deleted file again: its bytes are still there behind the descriptor."""
        os.makedirs(self.folder, exist_ok=True)
        path = self.path_of(self.number)
        try:
            fd = _create(path)
        except FileExistsError:
            self.broken = True  # somebody put another file there; ours goes on under the next number
            return
        try:
            lock.hold(fd)
            position = 0
            while position < self.size:
                piece = os.pread(self.fd, min(1 << 20, self.size - position), position)
                if not piece:
                    break
                _write_all(fd, piece)
                position += len(piece)
        except BaseException:
            _close_quietly(fd)
            _remove_quietly(path)
            raise
        last, self.fd, self._identity = self.fd, fd, _identity(fd)
        _close_quietly(last)
        warn_once("deleted", f"{path} was deleted while the run was recorded; it has been written again.")

    def recover(self) -> None:
        """Finds out what an interrupted call has written: whole records are kept, a half one is cut off."""
        if self._ours():
            end = os.fstat(self.fd).st_size
            while self.size + 9 <= end:
                length = int.from_bytes(os.pread(self.fd, 4, self.size), "little")
                if length == 0 or self.size + 8 + length > end:
                    break
                self.size += 8 + length
                self.sequence += 1
            if self.size < end:
                os.ftruncate(self.fd, self.size)
        self.steady = True

    def cut(self) -> None:
        """Takes back everything behind the last known record, after a write that failed."""
        try:
            if self._ours() and os.fstat(self.fd).st_size > self.size:
                os.ftruncate(self.fd, self.size)
        except OSError:
            self.broken = True
        self.steady = True

    def close(self) -> None:
        """Gives up the file and its lock."""
        if self._ours():
            _close_quietly(self.fd)
        self.fd = -1

    def _ours(self) -> bool:
        """Whether the descriptor is still the journal's; when not, it is forgotten, and neither cut nor closed."""
        if self.fd >= 0 and _identity(self.fd) != self._identity:
            self.fd = -1
        return self.fd >= 0


#: Numbers below are the next that a program's own files get, should it close ours.
_LEAST_FD = 512


def _create(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
    fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o666)
    try:
        import fcntl

        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LEAST_FD)
    except (ImportError, OSError, AttributeError):
        return fd  # Windows, or a process that may have few open files
    os.close(fd)
    return high


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        facts = os.fstat(fd)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _write_all(fd: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])


def _close_quietly(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
