"""Starts the command that ``fieldbook run`` records, under a keeper: a small process of ours between us and it.

    fieldbook run ──report, control──  keeper ──parent of──  command

The keeper is what keeps the command as it would be without us:

* It is the command's parent in the command's own session, so the command's process group is not orphaned and Ctrl-Z
  stops it as it would under a shell.
* It holds the reading ends of the command's output beside us. When we are killed with ``kill -9`` it goes on forwarding
  what the command prints, so the command neither dies of SIGPIPE nor falls silent. The run then counts as crashed.
* What a command leaves running in the background with its output open goes on being forwarded when we have exited
  with the command's code.

It waits for the command, says on the report pipe what became of it, and obeys single bytes on the control pipe.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
import sys
import termios
from collections.abc import Mapping, Sequence

from .launch_terminal import in_foreground, restore, set_size, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Reports of the keeper: a letter and a number.
REPORT = struct.Struct("<cxxxi")
STARTED = b"S"  # process id
REFUSED = b"R"  # errno of exec
EXITED = b"E"  # exit code
KILLED = b"K"  # signal
STOPPED = b"P"  # signal

#: What the keeper is told. The end of the pipe without any of these means that we were killed.
QUIT = b"q"
#: We exit now; something still holds the command's output open.
HAND_OVER = b"h"
#: Nobody reads this stream any more.
CLOSE_STDOUT = b"1"
CLOSE_STDERR = b"2"

_PIECE = 65536
#: Signals that concern the command, which the keeper lives through.
_LIVED_THROUGH = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGTTOU", "SIGTTIN")


class Streams:
    """How the command's standard streams are connected. Read ends are None where the command writes on a pty."""

    def __init__(self, *, out_is_terminal: bool, err_is_terminal: bool, in_is_terminal: bool) -> None:
        #: Our end of the terminal that we make for the command, when it had one before.
        self.master: int | None = None
        self.slave: int | None = None
        self.out: int | None = None
        self.err: int | None = None
        self._theirs: list[int] = []
        self.child_in = 0
        if out_is_terminal or err_is_terminal:
            self.master, self.slave = os.openpty()
            self._theirs.append(self.slave)
            self.child_in = self.slave if in_is_terminal else 0
        self.child_out = self.slave if out_is_terminal and self.slave is not None else -1
        if self.child_out < 0:
            self.out, self.child_out = os.pipe()
            self._theirs.append(self.child_out)
        self.child_err = self.slave if err_is_terminal and self.slave is not None else -1
        if self.child_err < 0:
            self.err, self.child_err = os.pipe()
            self._theirs.append(self.child_err)

    def close_theirs(self) -> None:
        """Lets go of what only the command uses; else its output would never end."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs = []


class Child:
    """The command, seen through its keeper."""

    def __init__(self, pid: int, report: int, control: int, keeper: int) -> None:
        self.pid = pid
        self.keeper = keeper
        self.report = report
        self._control = control

    def signal(self, number: int) -> None:
        """Sends a signal to the command's process group."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def exists(self) -> bool:
        """Whether the command's process is still there."""
        try:
            os.kill(self.pid, 0)
            return True
        except ProcessLookupError:
            return False
        except PermissionError:
            return True

    def tell(self, word: bytes) -> None:
        """Says a control byte to the keeper."""
        try:
            os.write(self._control, word)
        except OSError:
            pass

    def read_report(self) -> tuple[bytes, int] | None:
        """The next report; None when the keeper is gone."""
        data = os.read(self.report, REPORT.size)
        if len(data) < REPORT.size:
            return None
        kind, number = REPORT.unpack(data)
        return kind, number

    def leave(self, *, handed_over: bool) -> None:
        """The end: the keeper goes, or goes on forwarding for what the command left in the background."""
        self.tell(HAND_OVER if handed_over else QUIT)
        os.close(self._control)
        os.close(self.report)
        if not handed_over:
            try:
                os.waitpid(self.keeper, 0)
            except OSError:
                pass


def start(
    command: Sequence[str],
    variables: Mapping[str, str],
    streams: Streams,
    dispositions: Mapping[int, Any],
    saved_terminal: tuple[int, list[Any]] | None,
) -> Child:
    """Starts the command. Raises ``OSError`` with exec's reason when it cannot be started.

    ``dispositions`` are the signal handlers that the command would have had; ``saved_terminal`` is what the keeper
    puts back on the user's terminal should we be killed. Must be called while this process has one thread.
    """
    report_read, report_write = os.pipe()
    control_read, control_write = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        code = 1
        try:
            os.close(report_read)
            os.close(control_write)
            code = _Keeper(streams, report_write, control_read, saved_terminal).run(command, variables, dispositions)
        finally:
            os._exit(code)
    os.close(report_write)
    os.close(control_read)
    streams.close_theirs()
    child = Child(-1, report_read, control_write, keeper)
    first = child.read_report()
    if first is None:
        raise OSError(errno.EAGAIN, "the command could not be started")
    kind, number = first
    if kind == REFUSED:
        child.leave(handed_over=False)
        raise OSError(number, os.strerror(number))
    child.pid = number
    return child


class _Keeper:
    """Everything in here runs in the keeper's process."""

    def __init__(
        self, streams: Streams, report: int, control: int, saved_terminal: tuple[int, list[Any]] | None
    ) -> None:
        self._streams = streams
        self._report = report
        self._control = control
        self._saved_terminal = saved_terminal
        # Where forwarding goes on: (ours to read, the user's to write).
        self._routes: dict[int, int] = {}
        if streams.master is not None:
            self._routes[streams.master] = 1 if streams.out is None else 2
        if streams.out is not None:
            self._routes[streams.out] = 1
        if streams.err is not None:
            self._routes[streams.err] = 2

    def run(self, command: Sequence[str], variables: Mapping[str, str], dispositions: Mapping[int, Any]) -> int:
        for name in _LIVED_THROUGH:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if self._streams.slave is not None:
            os.setsid()
            fcntl.ioctl(self._streams.slave, termios.TIOCSCTTY, 0)
        pid = self._fork(command, variables, dispositions)
        if pid is None:
            return 0
        self._streams.close_theirs()
        self._say(STARTED, pid)
        return self._watch(pid, wake_read)

    def _fork(
        self, command: Sequence[str], variables: Mapping[str, str], dispositions: Mapping[int, Any]
    ) -> int | None:
        failed_read, failed_write = os.pipe()  # closed by a successful exec
        pid = os.fork()
        if pid == 0:
            _become(command, variables, self._streams, dispositions, failed_write)
        os.close(failed_write)
        reason = os.read(failed_read, 4)
        os.close(failed_read)
        if reason:
            os.waitpid(pid, 0)
            self._say(REFUSED, int.from_bytes(reason, "little"))
            return None
        return pid

    def _watch(self, pid: int, wake: int) -> int:
        ended = False
        while True:
            ready, _, _ = select.select([wake, self._control], [], [])
            if wake in ready:
                drain(wake)
                ended = self._wait(pid) or ended
            if self._control in ready:
                word = os.read(self._control, 1)
                if word == QUIT:
                    self._let_go()
                    return 0
                if word in (CLOSE_STDOUT, CLOSE_STDERR):
                    self._close(1 if word == CLOSE_STDOUT else 2)
                    continue
                if word == b"":  # killed
                    if self._saved_terminal is not None:
                        restore(*self._saved_terminal)
                    self._mark_lost()
                return self._take_over(pid, ended)

    def _wait(self, pid: int) -> bool:
        """Reaps and reports; True when the command has ended."""
        while True:
            try:
                found, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return True
            if found == 0:
                return False
            if found != pid:
                continue
            if os.WIFSTOPPED(status):
                self._say(STOPPED, os.WSTOPSIG(status))
            elif os.WIFSIGNALED(status):
                self._say(KILLED, os.WTERMSIG(status))
                return True
            else:
                self._say(EXITED, os.WEXITSTATUS(status))
                return True

    def _take_over(self, pid: int, ended: bool) -> int:
        """Forwards what is still printed, until nobody can print any more."""
        while self._routes:
            ready, _, _ = select.select(list(self._routes), [], [])
            for fd in ready:
                try:
                    data = os.read(fd, _PIECE)
                    if data:
                        write_all(self._routes[fd], data)
                        continue
                except OSError:
                    pass  # a pty's end, or nobody reads us any more
                self._routes.pop(fd)
                os.close(fd)
        if not ended:
            os.set_blocking(self._control, True)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass
        self._let_go()
        return 0

    def _close(self, target: int) -> None:
        for fd, to in list(self._routes.items()):
            if to == target:
                del self._routes[fd]
                os.close(fd)

    def _let_go(self) -> None:
        """A session leader's end sends SIGHUP to the terminal's foreground group: make that us, not a daemon of theirs."""
        if self._streams.master is not None:
            try:
                os.tcsetpgrp(self._streams.master, os.getpgrp())
            except OSError:
                pass

    def _mark_lost(self) -> None:
        try:
            os.write(
                2,
                b"fieldbook: the recording was killed; the command goes on and what it prints is shown, not recorded.\n",
            )
        except OSError:
            pass

    def _say(self, kind: bytes, number: int) -> None:
        try:
            os.write(self._report, REPORT.pack(kind, number))
        except OSError:
            pass  # SIGPIPE is ignored: nobody listens any more


def _become(
    command: Sequence[str],
    variables: Mapping[str, str],
    streams: Streams,
    dispositions: Mapping[int, Any],
    failed: int,
) -> None:
    """In the command's process: its group, its streams, its signals, then exec. Never returns."""
    try:
        os.setpgid(0, 0)
        if streams.slave is not None:
            # SIGTTOU is ignored here, so that a background group may ask for the foreground.
            os.tcsetpgrp(streams.slave, os.getpgrp())
        # Copies above the standard streams first: one of them may be about to be replaced.
        wanted = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (streams.child_in, streams.child_out, streams.child_err)]
        for place, fd in enumerate(wanted):
            os.dup2(fd, place, inheritable=True)
            os.close(fd)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, handler in dispositions.items():
            signal.signal(number, handler if handler == signal.SIG_IGN else signal.SIG_DFL)
        for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ"):  # Python ignores these for itself
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execvpe(command[0], list(command), dict(variables))
    except OSError as error:
        os.write(failed, (error.errno or errno.EIO).to_bytes(4, "little"))
    except BaseException as error:
        print(f"fieldbook: {error}", file=sys.stderr)
        os.write(failed, errno.EIO.to_bytes(4, "little"))
    finally:
        os._exit(127)


def copy_terminal(streams: Streams, like: int, *, raw_output: bool) -> None:
    """Gives the command's terminal the size and settings of the user's.

    ``raw_output``: the user's terminal goes on translating newlines itself, so this one must not.
    """
    if streams.slave is None:
        return
    try:
        # While we are in the background the shell is editing a line, with settings of its own: the fresh ones are saner.
        settings = termios.tcgetattr(like if in_foreground(like) else streams.slave)
        if raw_output:
            settings[1] &= ~termios.OPOST
        termios.tcsetattr(streams.slave, termios.TCSANOW, settings)
        size = size_of(like)
        if size is not None:
            set_size(streams.slave, size)
    except (OSError, termios.error):
        pass


def drain(fd: int) -> None:
    """Reads away what waits in a pipe that does not block."""
    try:
        while os.read(fd, 512):
            pass
    except BlockingIOError:
        pass


def write_all(fd: int, data: bytes) -> None:
    """All of it, also where somebody made the descriptor non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
