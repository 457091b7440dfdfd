"""Writes one process's journal. This is where the promise to a training is kept:

* What a call returned from is in the page cache: one ``write(2)``, no buffer of our own. ``kill -9``, ``os._exit`` and a
  segfault a microsecond later lose nothing of it. (A power cut can: the agent syncs from outside, about once a second.)
* The file belongs to this process alone. A forked child never writes to it (``run`` asks for the pid on every call), so
  no lock is taken across a fork and no record of two processes can interleave.
* The disk may fail at any byte. A half-written record is cut off again, so the file stays readable; points are
  dropped and counted, attributes, tags and statuses are held in memory, and when the disk recovers a GAP record says
  how much is missing. One warning says what happened. Nothing of that is raised.
* A call may be cut off anywhere by Ctrl-C or a signal handler. ``steady`` is false while the outcome of a write is
  unknown, and the next call finds out from the file itself before it goes on.

The fast path is ``log`` down to its ``write``; everything else is ``_put``.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from _thread import RLock
from collections.abc import Callable, Iterable, Mapping
from os import write
from time import time

from . import journal
from .console import warn, warn_once
from .journal_file import JournalFile
from .pending import Gap, Item, Shape
from .values import check_path, number_of, on_device, snapshot, step_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .background import Background

ROTATE_BYTES = 16 * 1024 * 1024
ROTATE_MS = 10 * 60 * 1000.0
#: A smaller file is not rotated for its age: a run that logs once a minute must not leave a file every ten.
ROTATE_AGED_BYTES = 64 * 1024
#: How often the file is looked at: whether somebody deleted it, whether it is old.
CHECK_MS = 1000.0
#: A write slower than this counts; so many of them within a minute move writing to a thread.
SLOW_MS = 50.0
SLOW_WRITES = 3
SLOW_WINDOW_MS = 60_000.0
#: A failed disk is tried again after a second, then after two, four … up to this.
RETRY_MS = 1000.0
RETRY_LIMIT_MS = 30_000.0
#: Attributes, tags and statuses held while the disk fails: far more than a run has, far less than memory.
HELD_BYTES = 8 * 1024 * 1024
#: Keys of one record; a call with more becomes several.
KEYS_PER_RECORD = 50_000
#: Sets of keys remembered; a script that invents keys for ever must not fill memory.
SHAPES_LIMIT = 4096

_PLAIN = frozenset((float, int))
_FRAME = struct.Struct("<II").pack
_crc32 = zlib.crc32


class Writer:
    """One writer: a process session that appends to a run."""

    def __init__(self, folder: str, writer: str, meta: Callable[[str | None], Mapping[str, Any]]) -> None:
        self.id = writer
        self.folder = folder
        self.pid = os.getpid()
        self.closed = False
        self.points = 0
        self.dropped = 0
        self._lock = RLock()
        self._file = JournalFile(folder, writer, meta)
        self._paths: list[str] = []
        self._numbers: dict[str, int] = {}
        self._steps: list[float] = []
        #: The last step of each series of texts, images and other objects.
        self._object_steps: dict[str, float] = {}
        self._shapes: dict[tuple[str, ...], Shape] = {}
        # A shape whose epoch is the writer's may take the fast path: its metrics are declared in the open file.
        self._epoch = 0
        self._check_at = 0.0
        self._rotate_at = 0.0
        self._retry_at = 0.0
        self._retry_ms = RETRY_MS
        self._gap = Gap()
        self._held: list[Item] = []
        self._held_bytes = 0
        self._slow_since = 0.0
        self._slow = 0
        self._background: Background | None = None
        self._beaten = -1
        self._later: list[Callable[[], None]] = []
        self._parked: tuple[tuple[str, ...], list[Any], float | None, float] | None = None

    # -- what a training calls ------------------------------------------------------------------------------------

    def log(self, values: Mapping[str, Any], step: Any = None) -> None:
        """Points of several metrics at one time. Raises ``TypeError``/``ValueError`` for what cannot be logged."""
        own = self._lock
        if own._is_owned():  # type: ignore[attr-defined]
            # A signal handler or finaliser inside one of our own calls: that call logs it when it is done.
            kept = dict(values)
            self._later.append(lambda: self.log(kept, step))
            return
        if step is not None and type(step) is not int:
            step = step_of(step)
        keys = tuple(values)
        shape = self._shapes.get(keys)
        if shape is None:
            shape = self._shape_of(keys, values, step)
            if shape is None:
                return
        numbers: Iterable[float] = values.values()
        if not _PLAIN.issuperset(map(type, numbers)):
            converted = self._convert(keys, values, step)
            if converted is None:
                return
            numbers = converted
        if self._parked is not None:
            self.settle()
        now = time() * 1000.0
        with own:
            file = self._file
            if shape.epoch == self._epoch and 0.0 < self._check_at - now <= CHECK_MS and file.steady:
                steps = self._steps
                if step is None:
                    step = self._next_step(shape)
                if step is not None:
                    sequence = file.sequence
                    try:
                        body = shape.pack(sequence, 3, now, step, shape.encoded, *numbers)
                    except (struct.error, OverflowError):
                        # A Python integer beyond float's range.
                        self._log_slowly(shape, [number_of("value", n) for n in numbers], step_of(step), now)
                        return
                    for number in shape.numbers:
                        steps[number] = step
                    data = _FRAME(len(body) - 8, _crc32(body, file.nonce_check)) + body[8:]
                    file.steady = False
                    try:
                        done = write(file.fd, data)
                    except OSError as error:
                        self._points_refused(shape, list(numbers), step, now, error)
                        return
                    if done == len(data):
                        file.sequence = sequence + 1
                        file.size += done
                        file.steady = True
                        self.points += len(shape.numbers)
                        if file.size >= ROTATE_BYTES:
                            self._check_at = 0.0
                        if time() * 1000.0 - now > SLOW_MS:
                            self._slow_write(now)
                    else:
                        self._points_refused(shape, list(numbers), step, now, None)
                else:
                    self._log_slowly(shape, list(numbers), None, now)
            else:
                self._log_slowly(shape, list(numbers), step, now)
        if self._later:
            self.catch_up()

    def put(self, kind: int, value: Mapping[str, Any], keep: bool = True) -> None:
        """A JSON record: attributes, tags, statuses. Held in memory while the disk fails."""
        now = time() * 1000.0
        self._put_soon(Item(kind, journal.to_json({"time": now, **value}), now, keep=keep))

    def put_bytes(self, kind: int, payload: bytes) -> None:
        """A record that is not JSON. Dropped and counted while the disk fails."""
        self._put_soon(Item(kind, payload, time() * 1000.0))

    def check_objects(self, path: str) -> None:
        """Raises ``ValueError`` for a path under which this writer logs numbers."""
        if path in self._numbers:
            raise ValueError(f"{path!r} is a series of numbers in this run; give objects a path of their own")

    def put_points(self, values: Mapping[str, float], step: float, time_ms: float) -> None:
        """Points that somebody else logged at a time of theirs: what a follower of other programs' logs reads."""
        keys = tuple(values)
        with self._lock:
            shape = self._shapes.get(keys) or self._shape_of(keys, values, step)
            if shape is None:
                return
            for number in shape.numbers:
                self._steps[number] = step
        payload = journal.scalars(time_ms, step, shape.numbers, tuple(values.values()))
        self._put_soon(Item(journal.SCALARS, payload, time_ms, shape.numbers, len(keys)))

    def put_object(self, path: str, step: float | None, body: Mapping[str, Any], time_ms: float | None = None) -> float:
        """One point of a series of objects; returns its step: one more than the last of this series, when none is given.
        ``time_ms`` is now unless said."""
        self.check_objects(path)
        with self._lock:
            if step is None:
                step = self._object_steps.get(path, -1.0) + 1.0
            self._object_steps[path] = step
        now = time() * 1000.0 if time_ms is None else time_ms
        payload = journal.to_json({"time": now, "path": path, "step": step, **body})
        self._put_soon(Item(journal.OBJECT, payload, now, points=1))
        return step

    def continue_at(self, steps: Mapping[str, float], objects: Mapping[str, float]) -> None:
        """The last steps of an earlier writer of the run: automatic ones go on behind them."""
        with self._lock:
            for path, step in steps.items():
                self._steps[self._number_of(path)] = step
            self._object_steps.update(objects)

    def miss(self, reason: str) -> None:
        """Counts a point whose bytes could not be kept; the next record is preceded by a GAP that says so."""
        now = time() * 1000.0
        with self._lock:
            self._gap.add(Item(journal.OBJECT, b"", now, points=1), reason)
            self._epoch += 1

    def _put_soon(self, item: Item) -> None:
        if self._lock._is_owned():  # type: ignore[attr-defined]
            self._later.append(lambda: self._put_now(item))
            return
        self._put_now(item)
        if self._later:
            self.catch_up()

    def beat(self) -> None:
        """A HEARTBEAT, unless something was written since the last call."""
        now = time() * 1000.0
        with self._lock:
            if not self.closed and self._file.sequence == self._beaten:
                self._put(Item(journal.HEARTBEAT, journal.heartbeat(now), now))
            self._beaten = self._file.sequence

    def settle(self) -> None:
        """Writes the point whose values were left on their device by the last call."""
        with self._lock:
            parked, self._parked = self._parked, None
        if parked is None:
            return
        keys, values, step, then = parked
        try:
            numbers = [number_of(key, value) for key, value in zip(keys, values)]
        except Exception as error:  # the device is gone: the training will hear of it from its own next call
            warn_once("device", f"a value could not be read from its device and is not recorded: {error}")
            return
        shape = self._shapes.get(keys) or self._shape_of(keys, dict(zip(keys, numbers)), step)
        if shape is not None:
            with self._lock:
                self._log_slowly(shape, numbers, step, then)

    def catch_up(self) -> None:
        """Does what could not be done inside another call of ours."""
        while self._later and not self.busy():
            work = self._later.pop(0)
            try:
                work()
            except (TypeError, ValueError) as error:
                warn(f"logged from a signal handler: {error}")

    def busy(self) -> bool:
        """True inside one of our own calls, as seen from a signal handler."""
        owned: bool = self._lock._is_owned()  # type: ignore[attr-defined]
        return owned

    def later(self, work: Callable[[], None]) -> None:
        """Does ``work`` when the call is over that a signal handler interrupted."""
        self._later.append(work)

    @property
    def next_sequence(self) -> int:
        """The sequence number of the next record that is written; what waits in memory has this one or a later one."""
        return self._file.sequence

    def open(self) -> None:
        """Creates the first file. A disk that refuses is reported, not raised."""
        with self._lock:
            now = time() * 1000.0
            try:
                self._look_after(now)
            except OSError as error:
                self._disk_failed(error, now)

    def close(self, status: Mapping[str, Any]) -> None:
        """The last record, then the lock is given up. Costs about one write."""
        self.settle()
        if self._background is not None:
            self._background.stop()
        with self._lock:
            if self.closed:
                return
            self._retry_at = self._check_at = 0.0
            now = time() * 1000.0
            self.dropped += self._gap.points
            value = {"time": now, **status, "dropped": self.dropped, "points": self.points}
            self.dropped -= self._gap.points
            self._put(Item(journal.CLOSE, journal.to_json(value), now, keep=True))
            self.closed = True
            self._epoch += 1
            self._report()
            if self._background is None:  # else its thread hangs in a write to this very descriptor
                self._file.close()

    def abandon(self) -> None:
        """In a forked child: lets go of the parent's file and lock without touching them."""
        self.closed = True
        self._epoch += 1
        self._file.close()
        self._lock = RLock()
        self._background = None

    # -- points -----------------------------------------------------------------------------------------------------

    def _shape_of(self, keys: tuple[str, ...], values: Mapping[str, Any], step: Any) -> Shape | None:
        """The shape of a set of keys seen for the first time; None when the call was split and is done."""
        if len(keys) > KEYS_PER_RECORD:
            for start in range(0, len(keys), KEYS_PER_RECORD):
                self.log({key: values[key] for key in keys[start : start + KEYS_PER_RECORD]}, step)
            return None
        if not keys:
            return None
        for key in keys:
            check_path(key, "a metric's name")
        with self._lock:
            if len(self._shapes) >= SHAPES_LIMIT:
                self._shapes.clear()
            shape = Shape(keys, tuple(self._number_of(key) for key in keys))
            self._shapes[keys] = shape
        return shape

    def _number_of(self, path: str) -> int:
        number = self._numbers.get(path)
        if number is None:
            if path in self._object_steps:
                raise ValueError(f"{path!r} is a series of objects in this run; give numbers a path of their own")
            number = len(self._paths)
            if number >= journal.METRIC_LIMIT:
                raise ValueError(
                    f"metric {path!r} would be number {number}: a run has at most {journal.METRIC_LIMIT} metrics"
                )
            self._paths.append(path)
            self._steps.append(-1.0)
            self._numbers[path] = number
        return number

    def _convert(self, keys: tuple[str, ...], values: Mapping[str, Any], step: Any) -> list[float] | None:
        """Plain numbers of all values; None when some stay on their device until the next call."""
        if any(on_device(value) for value in values.values()):
            copies = [
                snapshot(key, value) if on_device(value) else number_of(key, value) for key, value in values.items()
            ]
            self.settle()
            self._parked = (keys, copies, step, time() * 1000.0)
            return None
        return [value if type(value) is float else number_of(key, value) for key, value in values.items()]

    def _next_step(self, shape: Shape) -> float | None:
        """One more than the last step of these metrics; None when they differ."""
        steps = self._steps
        numbers = shape.numbers
        step = steps[numbers[0]]
        for number in numbers:
            if steps[number] != step:
                return None
        return step + 1.0

    def _log_slowly(self, shape: Shape, numbers: list[float], step: float | None, now: float) -> None:
        if step is None:
            step = self._next_step(shape)
        values = [number_of("value", number) for number in numbers]
        if step is None:
            own = [self._steps[number] + 1.0 for number in shape.numbers]
            payload = journal.stepped(now, shape.numbers, own, values)
            kind = journal.STEPPED
        else:
            step = step_of(step)
            own = [step] * len(values)
            payload = journal.scalars(now, step, shape.numbers, values)
            kind = journal.SCALARS
        for number, last in zip(shape.numbers, own):
            self._steps[number] = last
        self._put(Item(kind, payload, now, shape.numbers, len(values)))
        if self._healthy() and self._file.declared.issuperset(shape.numbers):
            shape.epoch = self._epoch

    def _healthy(self) -> bool:
        return self._background is None and self._retry_at == 0.0 and not self._held and self._gap.records == 0

    def _points_refused(
        self, shape: Shape, numbers: list[float], step: float, now: float, error: OSError | None
    ) -> None:
        """The fast path's write failed or was cut short."""
        item = Item(
            journal.SCALARS, journal.scalars(now, step, shape.numbers, numbers), now, shape.numbers, len(numbers)
        )
        if error is None:
            # Less was written than asked for: trying once more says why.
            self._file.cut()
            self._put(item)
            return
        self._disk_failed(error, now)
        self._lose(item, _reason(error))

    # -- records ----------------------------------------------------------------------------------------------------

    def _put_now(self, item: Item) -> None:
        with self._lock:
            self._put(item)

    def _put(self, item: Item) -> None:
        """Appends a record, whatever state the disk is in. Never raises, except for what interrupts us."""
        try:
            if self.closed:
                return
            background = self._background
            if background is not None:
                if not background.offer(item):
                    self._lose(item, "slow")
                return
            if len(item.payload) >= journal.RECORD_LIMIT:
                raise ValueError(f"a record of {len(item.payload)} bytes is too large")
            self.write_items([item])
        except Exception as error:
            warn_once("internal", f"a record could not be written, please report this: {error!r}")

    def write_items(self, fresh: list[Item]) -> float:
        """Appends records with one write, after what was held back; returns how many ms the write took."""
        now = time() * 1000.0
        if _ahead(self._retry_at, now, RETRY_LIMIT_MS):
            for item in fresh:
                self._lose(item, "")
            return 0.0
        file = self._file
        # Taken out before it is written: while the background thread writes, callers go on counting in a new one.
        with self._lock:
            gap, self._gap = self._gap, Gap()
        try:
            self._look_after(now)
            items = self._held + fresh
            data, sequence, declared = self._encode(gap, items, now)
            file.steady = False
            done = write(file.fd, data)
            while done < len(data):
                # Cut short by a full disk or a limit: the next write says by which.
                done += write(file.fd, memoryview(data)[done:])
        except OSError as error:
            self._disk_failed(error, now)
            with self._lock:
                self._gap.join(gap)
            for item in fresh:
                self._lose(item, _reason(error))
            return 0.0
        file.sequence = sequence
        file.size += len(data)
        file.declared |= declared
        file.steady = True
        self.dropped += gap.points
        self._wrote(items)
        took = time() * 1000.0 - now
        if took > SLOW_MS and self._background is None:
            self._slow_write(now)
        return took

    def _wrote(self, items: list[Item]) -> None:
        self.points += sum(item.points for item in items)
        if self._held:
            self._held = []
            self._held_bytes = 0
        self._retry_ms = RETRY_MS
        self._retry_at = 0.0
        if self._file.size >= ROTATE_BYTES:
            self._check_at = 0.0

    def _encode(self, gap: Gap, items: list[Item], now: float) -> tuple[bytes, int, set[int]]:
        """Bytes of the records, GAP first and each metric declared before its use; the sequence number after them."""
        parts: list[bytes] = []
        sequence, check = self._file.sequence, self._file.nonce_check
        declared: set[int] = set()
        if gap.records:
            value = {"time": now, "records": gap.records, "points": gap.points, "reason": gap.reason}
            payload = journal.to_json({**value, "from": gap.first, "to": gap.last})
            parts.append(journal.frame(check, sequence, journal.GAP, payload))
            sequence += 1
        for item in items:
            fresh = [n for n in item.numbers if n not in self._file.declared and n not in declared]
            for start in range(0, len(fresh), 1000):  # a DECLARE of 1000 long paths stays under the record limit
                some = fresh[start : start + 1000]
                names = journal.declare((number, self._paths[number]) for number in some)
                parts.append(journal.frame(check, sequence, journal.DECLARE, names))
                sequence += 1
            declared.update(fresh)
            parts.append(journal.frame(check, sequence, item.kind, item.payload))
            sequence += 1
        return b"".join(parts), sequence, declared

    def _lose(self, item: Item, reason: str) -> None:
        """Keeps what must not be lost, counts the rest."""
        if item.keep and self._held_bytes + len(item.payload) <= HELD_BYTES:
            self._held.append(item)
            self._held_bytes += len(item.payload)
        else:
            with self._lock:
                self._gap.add(item, reason or self._gap.reason or "disk")

    # -- the file and its troubles ----------------------------------------------------------------------------------

    def _look_after(self, now: float) -> None:
        """Leaves the writer with an open, healthy file of the right age, or raises ``OSError``."""
        file = self._file
        if not file.steady:
            file.recover()
        if file.usable and not _ahead(self._check_at, now, CHECK_MS):
            self._check_at = now + CHECK_MS
            if file.deleted():
                file.restore()
        if not file.usable:
            file.open_next()
            self._new_file(now)
        elif file.size >= ROTATE_BYTES or (
            file.size >= ROTATE_AGED_BYTES and not _ahead(self._rotate_at, now, ROTATE_MS)
        ):
            if file.rotate(now):
                self._new_file(now)
            else:
                self._rotate_at = now + RETRY_LIMIT_MS

    def _new_file(self, now: float) -> None:
        self._epoch += 1
        self._rotate_at = now + ROTATE_MS
        self._check_at = now + CHECK_MS

    def _disk_failed(self, error: OSError, now: float) -> None:
        self._file.cut()
        self._epoch += 1
        self._retry_at = now + self._retry_ms
        self._retry_ms = min(self._retry_ms * 2, RETRY_LIMIT_MS)
        warn_once(
            f"disk {self.id}",
            f"cannot write to {self.folder}: {error.strerror or error}. The training goes on; points are dropped and counted, "
            "parameters are kept in memory, and recording goes on when the disk does.",
        )

    def _slow_write(self, now: float) -> None:
        if not 0.0 <= now - self._slow_since <= SLOW_WINDOW_MS:
            self._slow_since = now
            self._slow = 0
        self._slow += 1
        if self._slow < SLOW_WRITES:
            return
        from .background import Background

        self._slow = 0
        self._epoch += 1
        self._background = Background(self)
        warn_once("slow", f"writes to {self.folder} are slow; a thread takes them over until the disk recovers.")

    def foreground(self) -> None:
        """The background thread is done: calls write themselves again. Called with nothing queued, under the lock."""
        self._background = None
        self._epoch += 1

    @property
    def lock(self) -> Any:
        """Taken by whoever changes the writer's state: callers, and the background thread at its hand-overs."""
        return self._lock

    def _report(self) -> None:
        """At the end: whether anything is missing."""
        lost = self.dropped + self._gap.points
        if self._held:
            warn(f"{len(self._held)} records and {lost} points could not be written to {self.folder}.")
        elif lost:
            warn(f"{lost} points could not be written to {self.folder}; the run says where they are missing.")


def _ahead(due: float, now: float, longest: float) -> bool:
    """Whether ``due`` lies ahead. Further than it was ever set means that the clock was set back: then it is due."""
    return 0.0 < due - now <= longest


def _reason(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
