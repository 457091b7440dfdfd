"""Records what ``fieldbook run`` sees, in threads of its own: the disk may be slow, full or gone, the command never waits.

What the pump hands in goes into a bounded queue; one thread folds the console and writes. Captures, the sampler and the
follower of event files have threads too, and all write through one :class:`~fieldbook.writer.Writer`. When the queue is
full, output is left out and the console says how much; it was shown all the same.
"""

from __future__ import annotations

import codecs
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic, time

from . import environment, journal, values
from .capture.console import Stream
from .console import warn
from .launch_pump import Ended
from .redaction import redact_argv
from .version import VERSION
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Output that waits for the disk.
QUEUE_BYTES = 16 * 1024 * 1024
#: How often an unfinished line is looked at.
TICK_S = 1.0
#: How long the command's exit waits for a disk that hangs.
FINISH_S = 10.0
#: How long it waits for what is still being captured or followed.
DRAIN_S = 30.0


class Plan:
    """What is to be recorded: made from the command line before anything is written."""

    def __init__(
        self,
        *,
        project: str,
        run_id: str,
        command: list[str],
        folder: str | None,
        home: str,
        about: Mapping[str, Any],
        attributes: Mapping[str, Any],
        parent: Mapping[str, Any] | None,
        watch: list[str],
        folders: list[str],
    ) -> None:
        self.project = project
        self.project_id = environment.project_id(project)
        self.run_id = run_id
        self.writer = environment.mint_id()
        self.command = command
        self.folder = folder
        self.home = home
        self.about = about
        self.attributes = attributes
        self.parent = parent
        #: Where event files are looked for: of anybody, and of the command's processes only.
        self.watch = watch
        self.folders = folders
        rank, _, world = environment.rank()
        #: Of several ranks the first one says what all of them were started with.
        self.first = not rank or (world or 0) < 2

    def meta(self, created: float, heartbeat: float | None) -> dict[str, Any]:
        """META of the launcher's journal; the command line is the command's."""
        facts = environment.describe()
        if "argv" in facts:
            facts["argv"] = redact_argv([text[:1000] for text in self.command[:100]])
        return {
            "project": self.project,
            "project_id": self.project_id,
            "run": self.run_id,
            "writer": self.writer,
            "created": created,
            **self.about,
            "parent": self.parent,
            "forked": False,
            "heartbeat": heartbeat,
            "client": VERSION,
            **facts,
        }


class Part:
    """Something that records beside the console: started with the recorder, stopped with it."""

    def start(self, writer: Writer) -> None:
        """Begins; must not block."""

    def stop(self, ended: Ended) -> None:
        """The command has ended: record what is left to record. May take as long as it makes progress."""


class Recorder:
    """The writer of a launched command."""

    def __init__(self, plan: Plan, parts: list[Part]) -> None:
        folder = os.path.join(plan.home, "journals", plan.project_id, plan.run_id)
        self._beat = environment.heartbeat_seconds(folder)
        fixed = plan.meta(time() * 1000.0, self._beat)
        self.writer = Writer(folder, plan.writer, lambda lock: {**fixed, "lock": lock})
        self._plan = plan
        self._parts = parts
        self._console: dict[int, Stream] = {}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._when = 0.0
        self._queue: deque[tuple[int, float, bytes]] = deque()
        self._work: deque[Callable[[], None]] = deque()
        self._queued = 0
        self._left_out: dict[int, int] = {}
        self._announced: int | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._ended: Ended | None = None
        self._done = threading.Event()
        self._records_console = True

    # -- called by the pump and by signal handlers: never blocks -----------------------------------------------------

    def start(self, *, console: bool) -> None:
        """Begins to record."""
        self._records_console = console
        threading.Thread(target=self._run, name="fieldbook-recorder", daemon=True).start()

    def printed(self, stream: int, data: bytes) -> None:
        """A copy of what the command printed."""
        if not self._records_console:
            return
        if self._queued + len(data) > QUEUE_BYTES:
            self._left_out[stream] = self._left_out.get(stream, 0) + len(data)
            return
        self._queued += len(data)
        self._queue.append((stream, time() * 1000.0, data))
        self._wake()

    def signalled(self, number: int) -> None:
        """A signal was passed on. One by which a scheduler announces the end is recorded at once."""
        if environment.preempts(number):
            self._announced = number if self._announced is None or number == 15 else self._announced
            reason = f"{environment.signal_name(number)} from the scheduler"
            body = {"status": "preempted", "signal": number, "reason": reason}
            self._work.append(lambda: self.writer.put(journal.STATUS, body))
            self._wake()

    def finish(self, ended: Ended) -> None:
        """The command has ended: writes the rest and the run's end, but does not wait for ever."""
        self._ended = ended
        self._wake()
        if not self._done.wait(FINISH_S + DRAIN_S * len(self._parts)):
            warn("the disk hangs: the end of the run could not be recorded. The command's exit code is not affected.")

    def _wake(self) -> None:
        try:
            os.write(self._write, b"\0")
        except OSError:
            pass  # full: it is awake

    # -- the recorder's thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self.writer.open()
            self._begin()
            for part in self._parts:
                _safely(lambda part=part: part.start(self.writer))  # type: ignore[misc]
            self._loop()
            assert self._ended is not None
            self._end(self._ended)
        except Exception as error:
            warn(f"recording stopped, please report this: {error!r}")
        finally:
            self._done.set()

    def _begin(self) -> None:
        if not self._plan.first:
            return
        chunk: dict[str, Any] = {}
        size = 0
        for path, value in self._plan.attributes.items():
            chunk[path] = values.encode_attribute(path, value)
            size += 600 + 4 * len(str(value))
            if size > 256 * 1024:
                self.writer.put(journal.ATTRS, {"set": chunk, "del": []})
                chunk, size = {}, 0
        if chunk:
            self.writer.put(journal.ATTRS, {"set": chunk, "del": []})

    def _loop(self) -> None:
        next_beat = monotonic() + (self._beat or 0.0)
        while True:
            select.select([self._read], [], [], TICK_S)
            try:
                while os.read(self._read, 4096):
                    pass
            except BlockingIOError:
                pass
            ending = self._ended is not None  # asked first: what was queued before the end is recorded before it
            self._drain()
            if self._beat is not None and monotonic() >= next_beat:
                self.writer.beat()
                next_beat = monotonic() + self._beat
            if ending:
                return

    def _drain(self) -> None:
        while self._work:
            _safely(self._work.popleft())
        while self._queue:
            stream, self._when, data = self._queue.popleft()
            self._queued -= len(data)
            self._stream(stream).write(self._decoders[stream].decode(data))
        for stream in list(self._left_out):
            count = self._left_out.pop(stream)
            self._when = time() * 1000.0
            self._say(
                stream, f"{count} bytes were left out here: the disk was slower than the output", journal.CONSOLE_GAP
            )

    def _stream(self, number: int) -> Stream:
        stream = self._console.get(number)
        if stream is None:
            stream = self._console[number] = Stream(number, self._say)
            self._decoders[number] = codecs.getincrementaldecoder("utf-8")("replace")
        return stream

    def _say(self, stream: int, text: str, flags: int) -> None:
        self.writer.put_bytes(journal.CONSOLE, journal.console(self._when, stream, flags, text))

    def _end(self, ended: Ended) -> None:
        for part in self._parts:
            _safely(lambda part=part: part.stop(ended))  # type: ignore[misc]
        self._drain()
        self._when = time() * 1000.0
        for number, stream in self._console.items():
            stream.write(self._decoders[number].decode(b"", final=True))
            stream.close()
        status, error = self._status(ended)
        self.writer.catch_up()
        self.writer.close(
            {"status": status, "exit_code": ended.code, "signal": ended.signal, "error": error, "traceback": None}
        )

    def _status(self, ended: Ended) -> tuple[str, str | None]:
        """After SIGTERM of a scheduler whatever follows is a preemption; after its early warning only a bad end is."""
        if self._announced is not None and (ended.code != 0 or environment.signal_name(self._announced) == "SIGTERM"):
            return "preempted", f"{environment.signal_name(self._announced)} from the scheduler"
        if ended.code == 0:
            return "finished", None
        if ended.signal is not None:
            return "failed", f"killed by {environment.signal_name(ended.signal)}"
        return "failed", f"exit code {ended.code}" if ended.code is not None else "how the command ended is not known"


def _safely(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:
        warn(f"a part of the recording failed, please report this: {error!r}")
