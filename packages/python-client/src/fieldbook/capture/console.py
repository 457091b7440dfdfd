"""What Python prints, into the journal: lines folded as a terminal would show them, within a size, and without secrets.

The streams stay what they are. Only their ``write`` is replaced, on the object itself, so that a logging handler that took
``sys.stderr`` before, ``isatty``, ``fileno``, ``buffer`` and identity are as before; writing comes first, and no trouble of
ours reaches the caller. What does not pass a Python stream (C code, child processes) is not seen; ``fieldbook run`` sees it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from time import monotonic

from .. import journal
from ..redaction import REDACTED, redact_lines, redact_unfinished
from .console_folder import ConsoleFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..run import Run

#: All of the first so many bytes are kept; afterwards so many a minute, and the last of all at the end.
KEEP_BYTES = 32 * 1024 * 1024
MINUTE_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024
MINUTE_S = 60.0
#: An unfinished line is shown again after so long at the earliest.
OPEN_S = 3.0
#: One record has at most so many bytes, with room for four bytes a character.
PIECE = 60 * 1024
#: A line of a private key, with what a logger or a list puts around it, or a header of it.
_KEY_LINE = re.compile(r"(?:.*[^A-Za-z0-9+/=])?[A-Za-z0-9+/=]{4,}[\s\"',)\]]*\Z|\s*\Z|(?:Proc-Type|DEK-Info): ")


class Limit:
    """Decides how much of a console is kept. ``say(text, flags)`` records; ``clock`` is seconds."""

    def __init__(
        self,
        say: Callable[[str, int], None],
        clock: Callable[[], float] = monotonic,
        keep: int = KEEP_BYTES,
        minute: int = MINUTE_BYTES,
        tail: int = TAIL_BYTES,
    ) -> None:
        self._say = say
        self._clock = clock
        self._left = keep
        self._minute = minute
        self._tail_bytes = tail
        self._over = False
        self._until = 0.0
        self._tail: deque[str] = deque()
        self._held = 0
        self._lines = 0
        self._bytes = 0

    def take(self, text: str) -> None:
        """Records lines, or holds the last of them and counts the others."""
        if not self._over:
            if len(text) < self._left:
                self._left -= len(text) + 1
                self._say(text, 0)
                return
            self._over = True
            self._left, self._until = self._minute, self._clock() + MINUTE_S
        for line in text.split("\n"):
            now = self._clock()
            if now >= self._until:
                self._tell(keep_tail=False)
                self._left, self._until = self._minute, now + MINUTE_S
            if len(line) < self._left:
                self._left -= len(line) + 1
                self._say(line, 0)
            else:
                self._left = 0  # not a shorter line behind it: what is kept stays in one piece
                self._drop(line)

    def close(self) -> None:
        """The end: how much is missing, and what came last."""
        self._tell(keep_tail=True)

    def _drop(self, line: str) -> None:
        self._tail.append(line)
        self._held += len(line) + 1
        self._lines += 1
        self._bytes += len(line) + 1
        while self._held > self._tail_bytes and len(self._tail) > 1:
            self._held -= len(self._tail.popleft()) + 1

    def _tell(self, keep_tail: bool) -> None:
        if not self._lines:
            return
        tail = list(self._tail) if keep_tail else []
        lines = self._lines - len(tail)
        size = self._bytes - (self._held if keep_tail else 0)
        if lines > 0:
            self._say(
                f"{lines} lines ({size} bytes) were left out here: the console is longer than is kept",
                journal.CONSOLE_GAP,
            )
        if tail:
            self._say("\n".join(tail), 0)
        self._tail.clear()
        self._held = self._lines = self._bytes = 0


class Stream:
    """One stream of one run: folds, redacts, limits and records what is written. ``record(stream, text, flags)``."""

    def __init__(
        self,
        number: int,
        record: Callable[[int, str, int], None],
        clock: Callable[[], float] = monotonic,
        **limits: int,
    ) -> None:
        self._number = number
        self._record = record
        self._clock = clock
        self._folder = ConsoleFolder()
        self._limit = Limit(lambda text, flags: record(number, text, flags), clock, **limits)
        self._shown = ""
        self._shown_at = -OPEN_S
        self._in_key = False

    def write(self, text: str) -> None:
        """Any text; records whole lines, and now and then a bar that is drawn over and over."""
        lines = self._folder.feed(text)
        if lines:
            self._shown = ""
            self._emit(lines)
        elif "\r" in text:
            self.show()

    def show(self) -> None:
        """Records the unfinished line, unless that was done a moment ago: a bar was redrawn, or a script flushed to be seen."""
        line = self._folder.open_line
        if line and line != self._shown:
            now = self._clock()
            if now - self._shown_at >= OPEN_S:
                self._shown, self._shown_at = line, now
                self._record(self._number, REDACTED if self._in_key else redact_unfinished(line), journal.CONSOLE_OPEN)

    def close(self) -> None:
        """Records what is left."""
        lines = self._folder.close()
        if lines:
            self._emit(lines)
        self._limit.close()

    def _emit(self, lines: list[str]) -> None:
        clean = self._clean(lines)
        if len(clean) <= PIECE:
            self._limit.take(clean)
            return
        piece: list[str] = []
        size = 0
        for line in clean.split("\n"):
            if piece and size + len(line) >= PIECE:
                self._limit.take("\n".join(piece))
                piece, size = [], 0
            piece.append(line)
            size += len(line) + 1
        self._limit.take("\n".join(piece))

    def _clean(self, lines: list[str]) -> str:
        text = "\n".join(lines)
        if self._in_key or "PRIVATE KEY-----" in text:
            text = "\n".join(map(self._without_key, lines))
        return redact_lines(text)

    def _without_key(self, line: str) -> str:
        """A private key is printed over many lines, one call each."""
        begins, ends = "-----BEGIN " in line and "PRIVATE KEY-----" in line, "-----END " in line
        if self._in_key and not ends and _KEY_LINE.match(line) is None:
            self._in_key = False  # somebody only talked of a key
        inside = self._in_key or begins
        self._in_key = inside and not ends
        return REDACTED if inside else line


class Console:
    """Both streams of a run in this process."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._waiting: list[tuple[int, str | None]] = []
        self._busy = False
        self._streams = {number: Stream(number, run._console) for number in (journal.STDOUT, journal.STDERR)}

    def write(self, number: int, text: str | None) -> None:
        """Called after the text has been printed; without a text when the stream was flushed."""
        if self._pid != os.getpid():
            return  # a forked child that only prints leaves no journal
        with self._lock:
            self._waiting.append((number, text))
            if not self._busy:  # else a signal handler, or our own warning, inside a write: that write takes it along
                self._take()

    def _take(self) -> None:
        self._busy = True
        try:
            while self._waiting:
                number, text = self._waiting.pop(0)
                stream = self._streams[number]
                stream.show() if text is None else stream.write(text)
        finally:
            self._busy = False

    def close(self) -> None:
        """Records what is left of both streams."""
        if self._pid == os.getpid():
            with self._lock:
                self._take()  # what a signal handler printed when the last write was about to be over
                for stream in self._streams.values():
                    stream.close()


#: Consoles of the runs of this process.
_consoles: list[Console] = []
#: The stream objects whose methods are ours, with these.
_patched: list[tuple[Any, dict[str, Callable[..., Any]]]] = []
#: By stream, the threads that are in one of our methods.
_inside: dict[int, set[int]] = {journal.STDOUT: set(), journal.STDERR: set()}


def start(run: Run) -> Console:
    """From now on what this process prints is recorded in ``run``."""
    console = Console(run)
    _consoles.append(console)
    _patch(sys.stdout, journal.STDOUT)
    _patch(sys.stderr, journal.STDERR)
    return console


def stop(console: Console) -> None:
    """The run's console ends; with the last one the streams are as they were."""
    if console in _consoles:
        _consoles.remove(console)
    console.close()
    if not _consoles:
        restore()


def restore() -> None:
    """Takes our methods off the streams, where nobody has put others on top."""
    for stream, methods in _patched:
        for name, ours in methods.items():
            try:
                if stream.__dict__.get(name) is ours:
                    delattr(stream, name)
            except Exception:
                pass
    _patched.clear()


def forked() -> None:
    """In a forked child: the parent's consoles are not its own, and their locks may be held by threads that are gone."""
    _consoles.clear()


def ensure() -> None:
    """Puts our methods back where somebody took them off, as IPython does at the end of each cell."""
    if _consoles:
        for stream, number in ((sys.stdout, journal.STDOUT), (sys.stderr, journal.STDERR)):
            ours = next((methods for known, methods in _patched if known is stream), None)
            if ours is not None and getattr(stream, "__dict__", {}).get("write") is not ours["write"]:
                _patched[:] = [pair for pair in _patched if pair[0] is not stream]
            _patch(stream, number)


def _patch(stream: Any, number: int) -> None:
    if stream is None or any(stream is known for known, _ in _patched):
        return
    try:
        print_, flush_ = stream.write, stream.flush

        def write(text: str) -> Any:
            done = print_(text)
            _tell(number, text)
            return done

        def write_outermost(text: str) -> Any:
            # In IPython others put theirs on top of ours, and then we on top of theirs: only one of us records.
            me = get_ident()
            if me in _inside[number]:
                return print_(text)
            _inside[number].add(me)
            try:
                return write(text)
            finally:
                _inside[number].discard(me)

        def flush() -> Any:
            done = flush_()
            _tell(number, None)
            return done

        methods: dict[str, Callable[..., Any]] = {
            "write": write_outermost if "IPython" in sys.modules else write,
            "flush": flush,
        }
        for name, ours in methods.items():
            setattr(stream, name, ours)
        _patched.append((stream, methods))
    except Exception:
        pass  # an object without attributes of its own; its console is not recorded


def _tell(number: int, text: str | None) -> None:
    for console in _consoles:
        try:
            console.write(number, text)
        except Exception:
            pass
