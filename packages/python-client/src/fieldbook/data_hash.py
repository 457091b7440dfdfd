"""Hashing many files at once: threads, because ``hashlib`` lets go of the interpreter while it hashes."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence

from .data_cache import HashCache, Stamp, stamp_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Beyond this a disk is the limit, not the processor.
THREADS = 32
#: One read: large enough that its cost vanishes, small enough for the processor's cache.
BUFFER = 256 * 1024
#: A file that changes while it is hashed is tried again so often; then what was read last is what is said.
TRIES = 3
#: Hashed files are remembered at once after so many bytes, so that an interrupted first pass is not for nothing.
_REMEMBER_BYTES = 8 * 1024 * 1024 * 1024


class Hashed:
    """What became of one file: a digest, or why there is none; ``changed`` while it was read."""

    __slots__ = ("changed", "digest", "mtime_ns", "reason", "size")

    def __init__(self, digest: str | None, size: int, mtime_ns: int, reason: str | None, changed: bool) -> None:
        self.digest = digest
        self.size = size
        self.mtime_ns = mtime_ns
        self.reason = reason
        self.changed = changed


def threads_for(files: int) -> int:
    """As many threads as there are processors that this process may use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return max(1, min(cores, THREADS, files))


def hash_files(
    files: Sequence[tuple[str, Stamp]],
    cache: HashCache | None,
    *,
    algorithm: str = "sha256",
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Hashed]:
    """Hashes files; the results are in their order, and the cache remembers them. ``progress`` is told bytes as they are hashed, from any thread.

    ``files`` are paths (as the system has them) with the stamp of their ``stat``. Raises nothing for files that cannot be read.
    """
    results: list[Hashed | None] = [None] * len(files)
    left = list(range(len(files)))
    if left:
        # The largest first: a thread that begins one at the end would let the others wait.
        left.sort(key=lambda index: -files[index][1][2])
        _Hashing(files, results, cache, algorithm, progress).run(left, threads or threads_for(len(left)))
    return [result for result in results if result is not None]


class _Hashing:
    def __init__(
        self,
        files: Sequence[tuple[str, Stamp]],
        results: list[Hashed | None],
        cache: HashCache | None,
        algorithm: str,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._files = files
        self._results = results
        self._cache = cache
        self._algorithm = algorithm
        self._progress = progress
        self._lock = threading.Lock()
        self._fresh: list[tuple[Stamp, int, str]] = []
        self._fresh_bytes = 0
        self._stop = False

    def run(self, indexes: list[int], threads: int) -> None:
        waiting = iter(indexes)
        errors: list[BaseException] = []

        def work() -> None:
            buffer = bytearray(BUFFER)
            try:
                while not self._stop:
                    with self._lock:
                        index = next(waiting, None)
                    if index is None:
                        return
                    self._one(index, buffer)
            except BaseException as error:
                errors.append(error)
                self._stop = True

        others = [threading.Thread(target=work, name="fieldbook-hash", daemon=True) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        try:
            work()
        finally:
            # Ctrl-C arrives in the main thread: the others stop at their next buffer.
            self._stop = self._stop or bool(errors)
            for thread in others:
                thread.join()
            self._remember()
        if errors:
            raise errors[0]

    def _one(self, index: int, buffer: bytearray) -> None:
        path, stamp = self._files[index]
        try:
            result, entry = self._hash(path, stamp, buffer)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
            self._results[index] = Hashed(None, stamp[2], stamp[3], reason, False)
            return
        self._results[index] = result
        if entry is None:
            return
        with self._lock:
            self._fresh.append(entry)
            self._fresh_bytes += result.size
            due = self._fresh_bytes >= _REMEMBER_BYTES
        if due:
            self._remember()

    def _hash(self, path: str, expected: Stamp, buffer: bytearray) -> tuple[Hashed, tuple[Stamp, int, str] | None]:
        import hashlib
        import time

        new = getattr(hashlib, self._algorithm)
        changed = False
        # O_NONBLOCK: a file may have become a pipe since it was looked at, and opening one waits for its other end.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        for attempt in range(TRIES):
            began = time.time_ns()
            found = new(usedforsecurity=False)
            fd = os.open(path, flags)
            try:
                if expected[2] > BUFFER:
                    _will_need_in_order(fd)
                read = self._feed(fd, found, buffer, expected[2])
                after = stamp_of(os.fstat(fd))
            finally:
                os.close(fd)
            # Also when it changed between the look at it and now.
            changed = expected != after or read != after[2]
            if not changed or attempt == TRIES - 1 or self._stop:
                break
            expected = after
        digest = found.hexdigest()
        result = Hashed(digest, read, after[3], None, changed)
        return result, None if changed else (after, began, digest)

    def _feed(self, fd: int, found: Any, buffer: bytearray, size: int) -> int:
        view = memoryview(buffer)
        total = 0
        while not self._stop:
            count = _read_into(fd, buffer)
            if not count:
                break
            found.update(view[:count] if count < BUFFER else buffer)
            total += count
            if self._progress is not None:
                self._progress(count)
            if count < BUFFER and total >= size:
                # Spares the read that finds nothing; a short one before the end is none.
                break
        return total

    def _remember(self) -> None:
        with self._lock:
            fresh, self._fresh, self._fresh_bytes = self._fresh, [], 0
        if self._cache is not None and fresh:
            self._cache.keep(fresh, self._algorithm)


def _will_need_in_order(fd: int) -> None:
    """Doubles the kernel's read-ahead. The pages are not given back: the training reads the same files next."""
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    except (AttributeError, OSError):
        pass


def _read_into(fd: int, buffer: bytearray) -> int:
    readv = getattr(os, "readv", None)
    if readv is not None:
        count: int = readv(fd, [buffer])
        return count
    piece = os.read(fd, len(buffer))
    buffer[: len(piece)] = piece
    return len(piece)
