"""The process beside a training that captures what takes time, and samples the system until the training ends.

``python -I -S -c "… main()"``: isolated, without site packages, so that nothing of the user's runs in it. It is another writer of the
run, with the role ``system``; how it ends says nothing of the run. It knows of the training's end by the pidfd of the process, or by
being told, and is gone at most :data:`GRACE_S` later. Messages on stdin are JSON lines; the first says everything there is to know.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from time import monotonic, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..run import Run

#: How long captures may go on after the training has ended.
GRACE_S = 1.5
#: Seconds after the start of the first samples, so that a short run has some.
FIRST_S = (0.5, 2.0, 5.0)
#: How often the training's pid is looked up where there is no pidfd.
POLL_S = 1.0
_MESSAGE = 1 << 20


def main() -> None:
    """Runs until the training ends; never says anything but notices."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        _close_inherited()
        if os.getsid(0) == os.getpid() or os.getppid() == 1:
            pass
        else:
            try:
                os.setsid()
            except OSError:
                pass  # a member of the session that the training made for us
        Companion(_first_message()).run()
    except BaseException as error:
        sys.stderr.write(f"fieldbook: the capture of code and system metrics failed: {error!r}\n")
    finally:
        # A thread that hangs in a capture must not hold the process.
        os._exit(0)


def _close_inherited() -> None:
    """Descriptors that a library of the training left open across exec: a GPU, a socket, a lock."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        os.closerange(3, 256)
        return
    for name in names:
        if name.isdigit() and int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                pass


def _first_message() -> dict[str, Any]:
    data = b""
    end = monotonic() + 10.0
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([0], [], [], max(0.0, end - monotonic()))
        piece = os.read(0, 1 << 16) if ready else b""
        if not piece or len(data) > _MESSAGE:
            raise EOFError("it was told nothing")
        data += piece
    # More than one message may have come: a run can end at once.
    first, _, rest = data.partition(b"\n")
    message: dict[str, Any] = json.loads(first)
    message["rest"] = rest.decode()
    return message


class Companion:
    """What one message asks for."""

    def __init__(self, message: dict[str, Any]) -> None:
        from . import redaction_of
        from .captured import Captured
        from .switches import Switches

        self._about = message
        self._switches = Switches(message["switches"]["on"], message["switches"]["interval"])
        redaction_of(message["secrets"])
        # For a yaml module, last of all, so that nothing there stands in for Python's own.
        sys.path += [
            path for path in message["sys_path"] if path.rstrip("/").endswith(("site-packages", "dist-packages"))
        ]
        self._started = monotonic()
        self._end: float | None = None
        self._modules: list[str] = list(message.get("modules", ()))
        self._buffer: bytes = message["rest"].encode()
        self._hears = True
        #: Where a person looks: ``stderr``, or ``pipe`` when the training shows it; ``none`` when it was said before.
        self._notices = message["notices"]
        self._training = _Process(message["pid"], message["pid_start"])
        self.journal = self._journal_of(message)
        self._captured = Captured(self.journal)

    def _journal_of(self, message: dict[str, Any]) -> Run:
        """This process as a writer of the run that the message is about."""
        from ..run import Run

        run = Run(
            project=message["project"],
            project_id=message["project_id"],
            run_id=message["run"],
            about={"name": None, "group": None, "notes": None, "tags": [], "role": "system"},
            home=message["home"],
            parent={"writer": message["writer"], "pid": self._about["pid"]},
            disabled=False,
            all_ranks=True,
        )
        # Its own command line says nothing, and the folder may not be wanted.
        run._hidden = frozenset(("argv", "cwd", "git"))
        return run

    def run(self) -> None:
        """Captures in a thread, samples in this one, and closes the journal when the training has ended."""
        from .collect import Collector

        self.journal._writer.open()
        collector = Collector(self._captured, self._about, self._switches, self._unwanted, self._notice)

        def capture() -> None:
            try:
                collector.run()
            finally:
                self._captured.completed()

        captures = threading.Thread(target=capture, name="fieldbook-captures", daemon=True)
        captures.start()
        self._sample(collector)
        captures.join(self._left())
        if not captures.is_alive():
            collector.finish(self._modules)
        self._captured.close()
        _say(b"done\n")

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _sample(self, collector: Any) -> None:
        """Until the training has ended."""
        sampler = None
        interval = self._switches.interval
        due = [at for at in FIRST_S if at < interval]
        if "system" in self._switches:
            sampler = collector.sampler()
        while self._end is None:
            next_ = due[0] if due else interval
            if sampler is None:
                next_ = 3600.0
            if self._wait(self._started + next_ - monotonic()):
                break
            if sampler is not None and monotonic() - self._started >= next_:
                self._log(sampler)
                if due:
                    due.pop(0)
                if not due:
                    interval += self._switches.interval
                    # After a suspend of the machine, not all the samples that were missed.
                    interval = max(interval, monotonic() - self._started)
        if sampler is not None:
            self._log(sampler)

    def _log(self, sampler: Any) -> None:
        seconds = (time() * 1000.0 - self._about["created"]) / 1000.0
        step = round(seconds) if self._switches.interval >= 1 else round(seconds, 1)
        prefix = self._about["metrics"]
        self.journal._writer.log({f"{prefix}/{name}": value for name, value in sampler.sample().items()}, step)

    def _wait(self, seconds: float) -> bool:
        """Waits for messages and the end of the training; True when it has ended."""
        end = monotonic() + max(0.0, seconds)
        while self._end is None:
            self._take_messages()
            if self._end is not None:
                return True
            left = end - monotonic()
            if left <= 0:
                return False
            sources = [0] if self._hears else []
            if self._training.fd >= 0:
                sources.append(self._training.fd)
            ready, _, _ = select.select(sources, [], [], left if self._training.fd >= 0 else min(left, POLL_S))
            if 0 in ready:
                piece = os.read(0, 1 << 16)
                if piece:
                    self._buffer += piece
                else:
                    # The training closed its end or died; forked children of it may hold it open for longer.
                    self._hears = False
                    if not self._training.alive():
                        self._over()
            elif self._training.fd in ready or (self._training.fd < 0 and not self._training.alive()):
                self._over()
        return True

    def _take_messages(self) -> None:
        while self._buffer and b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            message = json.loads(line)
            self._modules += [path for path in message.get("modules", ()) if path not in self._modules]
            if "join" in message:
                self._join(message["join"])
            if "leave" in message:
                self._captured.leave(message["leave"])
            if "end" in message:
                self._over()

    def _join(self, about: dict[str, Any]) -> None:
        """A run in the run, in the same process."""
        from .switches import Switches

        try:
            self._captured.join(self._journal_of(about), Switches(about["switches"]))
        except Exception as error:
            self._notice(f"what was captured is not in run {about['run']}, please report this: {error!r}")

    def _over(self) -> None:
        if self._end is None:
            self._end = monotonic()

    def _left(self) -> float:
        return max(0.0, (self._end or monotonic()) + GRACE_S - monotonic())

    def _unwanted(self) -> bool:
        """Asked by captures that take long."""
        return self._end is not None and self._left() <= 0

    def _notice(self, text: str) -> None:
        """Something that a person should hear; the empty text when there is nothing more to come."""
        if text and self._notices == "stderr":
            try:
                os.write(2, f"fieldbook: {text}\n".encode())
            except OSError:
                pass
        elif text and self._notices == "pipe":
            _say(f"! {text}\n".encode())
        if not text:
            # Whoever reads the training's stderr to its end must not wait for us.
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 2)
            os.close(null)


class _Process:
    """The training: a pidfd where there is one, which cannot be mistaken for a later process of the same number."""

    def __init__(self, pid: int, start: int | None) -> None:
        from .. import environment

        self._pid = pid
        self._start = start
        self._start_of = environment.process_start
        self.fd = -1
        opener = getattr(os, "pidfd_open", None)
        if opener is not None:
            try:
                self.fd = opener(pid)
            except OSError:
                pass
        if self.fd >= 0 and start is not None and self._start_of(pid) != start:
            os.close(self.fd)
            self.fd = -1

    def alive(self) -> bool:
        if self._start is not None:
            return self._start_of(self._pid) == self._start and self._state() not in "ZX"
        try:
            os.kill(self._pid, 0)
            return True
        except ProcessLookupError:
            return False
        except OSError:
            return True

    def _state(self) -> str:
        from . import procfs

        stat = procfs.process(procfs.read(f"/proc/{self._pid}/stat", 4096))
        return stat.state if stat is not None else "X"


def _say(line: bytes) -> None:
    try:
        os.write(1, line)
    except OSError:
        pass


if __name__ == "__main__":
    main()
