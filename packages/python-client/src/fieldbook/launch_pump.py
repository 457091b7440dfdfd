"""Passes everything between the user and the command, at once and unchanged, and hands a copy to the recorder.

One loop over file descriptors; it never touches a disk. What could block is the user's own terminal or pipe, which
would have blocked the command as well. Signals are passed on in their handlers, so they arrive even while a write to a
stopped terminal hangs.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections.abc import Callable
from time import monotonic

from . import journal
from .launch_child import CLOSE_STDERR, CLOSE_STDOUT, EXITED, KILLED, STOPPED, Child, Streams, drain, write_all
from .launch_terminal import RawTerminal, in_foreground, is_terminal, own_newlines, set_size, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

PIECE = 65536
#: Keys typed ahead of a command that does not read them.
KEYS_LIMIT = 65536
#: After the command's end its output is read until it was silent for so long, and at most as long as that.
SILENT_S = 0.2
LINGER_S = 2.0
#: How often is looked for what nobody tells: that a shell has brought the running job to the foreground.
LOOK_S = 0.5
#: The same signal from the terminal's group and through a wrapper within this time is one signal.
SAME_S = 1.0

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTSTP")


class Ended:
    """How the command ended: by ``code``, or by a ``signal``; neither when nobody knows."""

    __slots__ = ("code", "signal")

    def __init__(self, code: int | None, number: int | None) -> None:
        self.code = code
        self.signal = number

    @property
    def status(self) -> int:
        """As a shell says it; 1 when it is not known."""
        if self.code is not None:
            return self.code
        return 128 + self.signal if self.signal is not None else 1


class Signals:
    """The signals of this process, passed on to the command exactly once each."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self._told = told
        self._child: Child | None = None
        self._early: list[int] = []
        self._lock = threading.RLock()
        # signal -> (when it last came, how often from the kernel, from the wrapper, passed on)
        self._counts: dict[int, list[float]] = {}
        #: What the command would have had without us.
        self.before: dict[int, Any] = {}
        self.resized = True
        self.wake, self._wake_write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._wake_write, False)

    def install(self) -> None:
        """From here on signals do not end this process. Ignored ones (``nohup``) stay ignored, for the command too."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for name in _PASSED_ON:
            number = getattr(signal, name)
            self.before[number] = signal.getsignal(number)
            if self.before[number] != signal.SIG_IGN:
                signal.signal(number, self._handle)
        for name in ("SIGTTOU", "SIGTTIN", "SIGCONT", "SIGWINCH"):
            number = getattr(signal, name)
            self.before[number] = signal.getsignal(number)
        # We may give the terminal away and take it back from the background.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGWINCH, self._handle_resize)

    def attach(self, child: Child) -> None:
        """The command runs: what came before it is passed on now."""
        with self._lock:
            self._child = child
            early, self._early = self._early, []
        for number in early:
            self._pass_on(number)

    def detach(self) -> None:
        """The command has ended: its process id may soon be somebody else's."""
        with self._lock:
            self._child = None

    def listen(self, fd: int) -> None:
        """A wrapper (the Node program) writes the number of each signal that it gets as a byte."""

        def run() -> None:
            while True:
                try:
                    data = os.read(fd, 64)
                except OSError:
                    return
                if not data:
                    return
                for number in data:
                    if self.before.get(number, signal.SIG_IGN) != signal.SIG_IGN:
                        self._arrived(number, 2)

        threading.Thread(target=run, name="fieldbook-signals", daemon=True).start()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._arrived(number, 1)

    def _handle_resize(self, number: int, frame: FrameType | None) -> None:
        self.resized = True
        child = self._child
        if child is not None:
            child.signal(number)

    def _arrived(self, number: int, source: int) -> None:
        # A signal to the whole process group reaches us and the wrapper, which passes it on: the larger count holds.
        with self._lock:
            now = monotonic()
            count = self._counts.get(number)
            if count is None or now - count[0] > SAME_S:
                count = self._counts[number] = [now, 0, 0, 0]
            count[0] = now
            count[source] += 1
            if max(count[1], count[2]) <= count[3]:
                return
            count[3] += 1
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        child = self._child
        if child is None:
            self._early.append(number)
            return
        child.signal(number)
        if number != signal.SIGTSTP:
            self._told(number)


class Pump:
    """The loop."""

    def __init__(
        self,
        child: Child,
        streams: Streams,
        signals: Signals,
        terminal: RawTerminal | None,
        record: Callable[[int, bytes], None],
    ) -> None:
        self._child = child
        self._streams = streams
        self._signals = signals
        self._terminal = terminal
        self._record = record
        self._selector = selectors.DefaultSelector()
        #: Descriptor -> (stream of the console, where it is shown, the keeper's word when nobody reads it).
        self._routes: dict[int, tuple[int, int, bytes]] = {}
        self._dark: set[int] = set()
        self._keys = b""
        self._reading_keys = False
        self._lent = False
        self._kill_at: float | None = None
        self._ended: Ended | None = None
        self._lost = False

    def kill_after(self, seconds: float) -> None:
        """SIGKILL to the command's process group unless it has ended by then. The first call holds."""
        if self._kill_at is None:
            self._kill_at = monotonic() + seconds

    def run(self) -> tuple[Ended, bool]:
        """Until the command has ended and what it printed is shown; and whether somebody still holds its output open."""
        streams = self._streams
        if streams.master is not None:
            os.set_blocking(streams.master, False)
            both = streams.out is None and streams.err is None
            shown = 1 if streams.out is None else 2
            self._route(streams.master, journal.TERMINAL if both else shown, shown, b"")
        if streams.out is not None:
            self._route(streams.out, journal.STDOUT, 1, CLOSE_STDOUT)
        if streams.err is not None:
            self._route(streams.err, journal.STDERR, 2, CLOSE_STDERR)
        self._selector.register(self._signals.wake, selectors.EVENT_READ)
        self._selector.register(self._child.report, selectors.EVENT_READ)
        if self._terminal is not None:
            self._terminal.enter()
            self._read_keys(self._terminal.active)
        silent_since = last_end = 0.0
        while self._routes or self._ended is None:
            now = monotonic()
            if self._ended is not None:
                silent_since = silent_since or now
                last_end = last_end or now + LINGER_S
                if now - silent_since >= SILENT_S or now >= last_end:
                    break
            if self._kill_at is not None and now >= self._kill_at and self._ended is None:
                self._kill_at = now + 5.0  # once more, should it have been stopped in between
                self._child.signal(signal.SIGKILL)
            for key, _ in self._selector.select(self._timeout(now)):
                if self._event(key.fd):
                    silent_since = 0.0
            self._resize()
            if self._terminal is not None and not self._terminal.active and self._ended is None:
                self._terminal.enter()
                self._read_keys(self._terminal.active)
                if self._terminal.active and self._streams.master is not None:
                    own_newlines(self._streams.master)
            if self._lost and self._ended is None and not self._child.exists():
                self._signals.detach()
                self._ended = Ended(None, None)
        assert self._ended is not None
        return self._ended, bool(self._routes)

    def close(self) -> None:
        """Gives the user's terminal back as it was."""
        if self._terminal is not None:
            self._terminal.leave()
        self._take_back()
        self._selector.close()

    # -- events -----------------------------------------------------------------------------------------------------

    def _timeout(self, now: float) -> float | None:
        if self._ended is not None:
            return SILENT_S / 4
        waits = [] if self._kill_at is None else [max(0.0, self._kill_at - now)]
        if self._lost or (self._terminal is not None and not self._terminal.active):
            waits.append(LOOK_S)
        return min(waits) if waits else None

    def _event(self, fd: int) -> bool:
        """Handles one ready descriptor; True when the command has printed something."""
        if fd == self._signals.wake:
            drain(fd)
        elif fd == self._child.report:
            self._reported()
        elif fd in self._routes:
            if self._keys and fd == self._streams.master:
                self._type()
            return self._forward(fd)
        elif self._terminal is not None and fd == self._terminal.fd:
            self._key_pressed()
        return False

    def _route(self, fd: int, stream: int, shown: int, word: bytes) -> None:
        self._routes[fd] = (stream, shown, word)
        self._selector.register(fd, selectors.EVENT_READ)

    def _forward(self, fd: int) -> bool:
        stream, shown, word = self._routes[fd]
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last one has closed the pty
            data = b""
        if not data:
            del self._routes[fd]
            self._selector.unregister(fd)
            return True
        if shown not in self._dark:
            try:
                write_all(shown, data)
            except OSError:
                # Whoever read us has gone (``| head``), or the terminal has. A pipe is closed, so that the command
                # hears of it as it would have; a pty stays, and what comes is still recorded.
                self._dark.add(shown)
                if word:
                    self._child.tell(word)
                    del self._routes[fd]
                    self._selector.unregister(fd)
                    os.close(fd)
        self._record(stream, data)
        return True

    def _reported(self) -> None:
        report = self._child.read_report()
        if report is None:
            self._selector.unregister(self._child.report)
            # Somebody killed the keeper: the command goes on, and nobody will say how it ended.
            self._lost = self._ended is None
            return
        kind, number = report
        if kind == STOPPED:
            self._stopped(number)
        elif kind in (EXITED, KILLED):
            self._signals.detach()
            self._ended = Ended(number, None) if kind == EXITED else Ended(None, number)

    # -- keys -------------------------------------------------------------------------------------------------------

    def _read_keys(self, wanted: bool) -> None:
        if self._terminal is None or wanted == self._reading_keys:
            return
        self._reading_keys = wanted
        if wanted:
            self._selector.register(self._terminal.fd, selectors.EVENT_READ)
        else:
            self._selector.unregister(self._terminal.fd)

    def _key_pressed(self) -> None:
        assert self._terminal is not None
        try:
            data = os.read(self._terminal.fd, 4096)
        except OSError:
            data = b""
        if not data:
            self._read_keys(False)  # the terminal is gone
            return
        self._keys += data
        self._type()

    def _type(self) -> None:
        master = self._streams.master
        if master is None or master not in self._routes:
            self._keys = b""
            return
        try:
            self._keys = self._keys[os.write(master, self._keys) :]
        except BlockingIOError:
            pass
        except OSError:
            self._keys = b""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._keys else 0)
        self._selector.modify(master, events)
        self._read_keys(self._terminal is not None and self._terminal.active and len(self._keys) < KEYS_LIMIT)

    def _resize(self) -> None:
        if self._signals.resized:
            self._signals.resized = False
            if self._streams.master is not None:
                size = next(filter(None, (size_of(fd) for fd in (1, 2, 0) if is_terminal(fd))), None)
                if size is not None:
                    set_size(self._streams.master, size)

    # -- job control ------------------------------------------------------------------------------------------------

    def _stopped(self, number: int) -> None:
        """The command was stopped: by Ctrl-Z, or because it wants the terminal that we have."""
        if number in (signal.SIGTTIN, signal.SIGTTOU) and self._streams.master is None:
            if not in_foreground(0):
                self._stop()
            self._lend()
            self._child.signal(signal.SIGCONT)
        elif number == signal.SIGTSTP:
            self._stop()
            if self._lent:
                self._lend()
            self._child.signal(signal.SIGCONT)

    def _stop(self) -> None:
        """Stops this whole job, as its shell expects; returns when it goes on, or at once without a shell."""
        if self._terminal is not None:
            self._read_keys(False)
            self._terminal.leave()
        lent = self._lent
        self._take_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._lent = lent
        if self._terminal is not None:
            self._terminal.enter()
            self._read_keys(self._terminal.active)
        self._signals.resized = True

    def _lend(self) -> None:
        if in_foreground(0):
            try:
                os.tcsetpgrp(0, self._child.pid)
                self._lent = True
            except OSError:
                pass

    def _take_back(self) -> None:
        if self._lent:
            self._lent = False
            try:
                os.tcsetpgrp(0, os.getpgrp())
            except OSError:
                pass
