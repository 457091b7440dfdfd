"""Starts the companion process of a run, and talks to it. This is the training's side; :mod:`.companion` is the other.

The training has no thread and waits for nothing. The companion is not its child: it is started through a shell that ends at
once, so that a script's ``os.wait()`` never meets it and nothing is left to be reaped. It has a session of its own, so Ctrl-C
does not reach it, and it ends by itself when the training has ended, however that happens. Two pipes join them: JSON lines go
to the companion, and its end of the other closes when it ends.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from time import monotonic

from .. import environment
from ..console import warn, warn_once
from .switches import EXIT_WAIT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A pipe holds 64 KiB unless the machine is short of pipes; one message stays below.
MESSAGE_BYTES = 60_000
_SHELL = "/bin/sh"
#: A background command of a shell gets /dev/null as its stdin, hence the detour over 3.
_DETACH = 'exec 3<&0; "$@" <&3 3<&- &'
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CODE = f"import sys; sys.path.insert(0, {_SOURCE!r}); from fieldbook.capture.companion import main; main()"

_links: list[Link] = []
_installed = False


class Link:
    """A running companion, as the training sees it."""

    def __init__(self, control: int, done: int) -> None:
        self._control = control
        self._done = done
        self._pid = os.getpid()
        #: A program that closes all descriptors may open others under our numbers.
        self._pipes = {fd: _identity(fd) for fd in (control, done)}
        self._said = b""
        self.exit_wait = EXIT_WAIT_S
        #: Lines that a person should see, not yet shown.
        self.notices: list[str] = []
        self.ended = False

    def send(self, message: dict[str, Any]) -> bool:
        """One message; False when the companion is gone or does not read."""
        if not self._ours(self._control) or self._pid != os.getpid():
            return False
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            return os.write(self._control, data) == len(data)
        except OSError:
            return False

    def end(self, message: dict[str, Any]) -> None:
        """The run ends: says so, and lets the companion finish by itself."""
        self.send(message)
        self._close_control()
        self.look()
        if self.ended and b"done" not in self._said.splitlines():
            warn_once(
                "companion",
                "the process that captures system metrics and code ended early; the run has what it captured until then.",
            )

    def look(self, seconds: float = 0.0) -> bool:
        """Reads what the companion said, waiting so long at most; True when it has ended."""
        import select

        until = monotonic() + seconds
        while not self.ended and self._ours(self._done):
            try:
                # select.select takes no descriptor beyond 1023, and trainings have many open.
                poll = select.poll()
                poll.register(self._done, select.POLLIN)
                if not poll.poll(max(0.0, until - monotonic()) * 1000.0):
                    break
                piece = os.read(self._done, 4096)
            except OSError:
                piece = b""
            self._said += piece
            if not piece:
                self.ended = True
                self._close_done()
        *lines, rest = self._said.split(b"\n")
        for line in lines:
            if line.startswith(b"! "):
                self.notices.append(line[2:].decode("utf-8", "replace"))
        if self.notices:
            self._said = b"\n".join([*(line for line in lines if not line.startswith(b"! ")), rest])
        return self.ended

    def forget(self) -> None:
        """In a forked child: the parent's companion is not ours."""
        self._close_control()
        self._close_done()

    def _ours(self, fd: int) -> bool:
        return fd >= 0 and _identity(fd) == self._pipes.get(fd)

    def _close_control(self) -> None:
        control, self._control = self._control, -1
        if self._ours(control):
            _close(control)

    def _close_done(self) -> None:
        done, self._done = self._done, -1
        if self._ours(done):
            _close(done)


def start(message: dict[str, Any], exit_wait: float = EXIT_WAIT_S) -> Link | None:
    """A companion that has been told ``message``; None, and one warning, when there cannot be one. Where everything dies with the
    training, its exit waits ``exit_wait`` seconds at most for what is still being captured."""
    python = interpreter()
    if python is None:
        warn_once(
            "companion",
            "code, environment and system metrics are not captured: no Python interpreter is known that could do it.",
        )
        return None
    try:
        link = _start(python, message)
    except (OSError, ValueError, NotImplementedError) as error:
        warn_once(
            "companion",
            f"code, environment and system metrics are not captured: the process for it did not start: {error}",
        )
        return None
    link.exit_wait = exit_wait
    return link


def interpreter() -> str | None:
    """The running Python, unless this is a program that only contains one: starting that would start the program again."""
    path = sys.executable
    if not path or getattr(sys, "frozen", False) or not hasattr(os, "posix_spawn"):
        return None
    name = os.path.basename(path).lower()
    return path if "python" in name or "pypy" in name else None


def _start(python: str, message: dict[str, Any]) -> Link:
    global _installed
    data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(data) > MESSAGE_BYTES:
        raise ValueError("there is too much to tell it")
    environ = {**os.environ, environment.COMPANION: "1"}
    for name in (environment.RUN_ID, environment.PARENT, environment.RECORDED):
        environ.pop(name, None)
    command = [python, "-I", "-S", "-c", _CODE]
    detached = os.path.exists(_SHELL)
    if detached:
        command = [_SHELL, "-c", _DETACH, "fieldbook", *command]
    control_read, control = os.pipe()
    done, done_write = os.pipe()
    try:
        os.set_blocking(control, False)
        options: dict[str, Any] = {
            "file_actions": [(os.POSIX_SPAWN_DUP2, control_read, 0), (os.POSIX_SPAWN_DUP2, done_write, 1)],
            "setsigmask": (),
            "setsigdef": (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD),
        }
        try:
            pid = os.posix_spawn(command[0], command, environ, setsid=True, **options)
        except NotImplementedError:  # the companion makes itself a session then
            pid = os.posix_spawn(command[0], command, environ, **options)
    except BaseException:
        _close(control)
        _close(done)
        raise
    finally:
        _close(control_read)
        _close(done_write)
    if detached:
        _reap(pid)
    link = Link(control, done)
    if not link.send(message):
        link.forget()
        raise OSError(errno.EPIPE, "it does not listen")
    _links.append(link)
    if not _installed and hasattr(os, "register_at_fork"):
        _installed = True
        os.register_at_fork(after_in_child=_in_child)
    return link


def _reap(pid: int) -> None:
    """Of the shell, which is done as soon as it has started the companion."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # somebody ignores SIGCHLD, or waited for all children


def wait() -> None:
    """At the exit of the process: shows what was not shown, and waits where nothing outlives this process: for all companions
    together as long as the most patient of its runs says."""
    dies = dies_with_us()
    begun = monotonic()
    for link in _links:
        if link._pid == os.getpid():
            link.look(max(0.0, begun + link.exit_wait - monotonic()) if dies else 0.0)
            show(link)


def show(link: Link) -> None:
    """Says to the person what the companion found."""
    while link.notices:
        warn(link.notices.pop(0))


def dies_with_us() -> bool:
    """Whether the machine ends every process of ours with this one: in containers, batch jobs and services."""
    environ = os.environ
    jobs = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "INVOCATION_ID", "KUBERNETES_SERVICE_HOST", "container", "CI")
    return (
        os.getpid() == 1
        or any(environ.get(name) for name in jobs)
        or os.path.exists("/.dockerenv")
        or os.path.exists("/run/.containerenv")
    )


def _in_child() -> None:
    for link in _links:
        link.forget()
    _links.clear()


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        facts = os.fstat(fd)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _close(fd: int) -> None:
    if fd >= 0:
        try:
            os.close(fd)
        except OSError:
            pass
