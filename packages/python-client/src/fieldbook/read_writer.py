"""What the journals of one writer say, folded as ``packages/core/src/ingest/writer-state.ts`` folds them.

Records are read one by one and let go: a journal of a day's points costs its bytes in memory, not its points.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator

from . import journal, journal_reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: ``(step, time in ms, value, ordinal)``
Point = tuple[float, float, float, int]

_HEAD = struct.Struct("<II")
_STREAMS = {journal.STDOUT: "stdout", journal.STDERR: "stderr", journal.TERMINAL: "output"}
_OPEN, _GAP = 1, 2
_COUNT, _LAST, _LAST_STEP, _MIN, _MIN_STEP, _MAX, _MAX_STEP, _NON_FINITE = range(8)


def whole_ms(time: float) -> float:
    """A time as the agent keeps it."""
    return float(math.floor(time + 0.5))


class Writer:
    """One writer of a run. ``wanted``, if any, is the path whose points and rows are gathered."""

    def __init__(self, writer: str, wanted: str | None = None) -> None:
        self.id = writer
        self.meta: dict[str, Any] | None = None
        self.created = 0.0
        self.updated = 0.0
        self.ended: float | None = None
        self.status = "running"
        self.closed = False
        self.preempted = False
        self.error: dict[str, Any] = {}
        self.tags: dict[str, None] = {}
        self.attributes: dict[str, Any] = {}
        self.removed: list[str] = []
        self.files: list[dict[str, Any]] = []
        self.removals: list[dict[str, Any]] = []
        self.captures: dict[str, Any] = {}
        self.kinds: dict[str, str] = {}
        self.points: list[Point] = []
        self.rows: list[dict[str, Any]] = []
        #: Journals of it have been taken away: what is here is not all.
        self.missing = False
        self._wanted = wanted
        self._summaries: dict[str, list[float]] = {}
        self._lines: dict[str, int] = {}
        self._open: dict[str, dict[str, Any]] = {}

    @property
    def role(self) -> str | None:
        return "system" if self.meta is not None and self.meta.get("role") == "system" else None

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Summaries as the agent's API has them."""
        return {path: _summary(values) for path, values in self._summaries.items()}

    def read(self, files: Iterable[str]) -> Writer:
        """Takes in its files, in the order of their numbers. What cannot be read is as if it were not there."""
        expected = 0
        for path in files:
            try:
                with open(path, "rb") as file:
                    data = file.read()
                head, offset = journal_reader._read_header(data)
            except (OSError, journal_reader.JournalCorrupt):
                self.missing = True
                continue
            self.missing = self.missing or head.first > expected
            expected = self._take(data, head, offset)
        self._end_lines()
        return self

    def judge(self, verdict: str) -> None:
        """What a look from outside says of a writer without a last word."""
        if self.closed or verdict == "running":
            return
        forked = self.meta is not None and self.meta.get("forked") is True
        self.status = "preempted" if self.preempted else "finished" if verdict == "crashed" and forked else verdict
        self.ended = max(self.updated, self.created)

    def _take(self, data: bytes, head: journal_reader.Journal, offset: int) -> int:
        names: dict[int, str] = {}
        sequence = head.first
        for sequence, kind, start, end in _records(data, head, offset):
            if kind == journal.SCALARS:
                self._scalars(data, start, end, names, sequence)
                continue
            try:
                found = journal_reader._decode_payload(kind, data[start:end], names)
            except (ValueError, RecursionError, struct.error):
                continue
            if kind == journal.STEPPED:
                for number, step, value in found["points"]:
                    self._point(names[number], step, found["time"], value, sequence)
            else:
                self._record(kind, found, sequence)
        return sequence + 1

    def _scalars(self, data: bytes, start: int, end: int, names: dict[int, str], sequence: int) -> None:
        count, rest = divmod(end - start - 16, 12)
        if rest or count < 0:
            return
        time, step, *flat = struct.unpack_from(f"<dd{count}I{count}d", data, start)
        if not math.isfinite(step):
            return
        for index in range(count):
            path = names.get(flat[index])
            if path is not None:
                self._point(path, step, time, flat[count + index], sequence)

    def _point(self, path: str, step: float, time: float, value: float, sequence: int) -> None:
        found = self._summaries.get(path)
        if found is None:
            found = self._summaries[path] = [0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0]
        found[_COUNT] += 1
        found[_LAST] = value
        found[_LAST_STEP] = step
        if not math.isfinite(value):
            found[_NON_FINITE] += 1
        else:
            # The negated comparisons are true for the NaN that stands for "none yet".
            if not value >= found[_MIN]:
                found[_MIN], found[_MIN_STEP] = value, step
            if not value <= found[_MAX]:
                found[_MAX], found[_MAX_STEP] = value, step
        if time > self.updated:
            self.updated = max(self.updated, whole_ms(time))
        if path == self._wanted:
            self.points.append((step, whole_ms(time), value, sequence))

    def _record(self, kind: int, data: dict[str, Any], sequence: int) -> None:
        if kind == journal.META:
            if self.meta is None:
                self._begin(data)
        elif kind == journal.ATTRS:
            self._attributes(data, sequence)
        elif kind == journal.TAGS:
            for tag in _texts(data.get("remove")):
                self.tags.pop(tag, None)
            self.tags.update(dict.fromkeys(_texts(data.get("add"))))
            self._seen(data.get("time"))
        elif kind == journal.CLOSE:
            self._seen(data.get("time"))
            self._end_lines(sequence)
            self.closed = True
            status = data.get("status")
            self.status = status if status in ("finished", "preempted") else "failed"
            time = data.get("time")
            self.ended = whole_ms(time) if isinstance(time, (int, float)) else self.updated
            self.error = {key: data.get(key) for key in ("exit_code", "signal", "error", "traceback")}
        elif kind == journal.STATUS:
            self._seen(data.get("time"))
            self.preempted = data.get("status") == "preempted"
        elif kind == journal.FILE:
            time = self._at(data.get("time"))
            self.files.append({**data, "time": time, "writer": self.id, "ordinal": sequence})
        elif kind == journal.OBJECT:
            self._object(data, sequence)
        elif kind == journal.CONSOLE:
            self._console(data, sequence)
        elif kind == journal.CAPTURE:
            self._seen(data.get("time"))
            self.captures[data["section"]] = data["data"]
        else:
            self._seen(data.get("time"))

    def _begin(self, meta: dict[str, Any]) -> None:
        self.meta = meta
        created = meta.get("created")
        self.created = whole_ms(created) if isinstance(created, (int, float)) else self.updated
        self._seen(created)
        self.tags.update(dict.fromkeys(_texts(meta.get("tags"))))

    def _attributes(self, data: dict[str, Any], sequence: int) -> None:
        time = self._at(data.get("time"))
        for place, gone in enumerate(_texts(data.get("del"))):
            for path in [path for path in self.attributes if path == gone or path.startswith(gone + "/")]:
                del self.attributes[path]
            if gone not in self.removed:
                self.removed.append(gone)
            self.removals.append({"path": gone, "time": time, "writer": self.id, "ordinal": sequence, "place": place})
        values = data.get("set")
        for path, value in values.items() if isinstance(values, dict) else ():
            known, found = _attribute(value)
            if known:
                self.attributes[path] = found

    def _object(self, data: dict[str, Any], sequence: int) -> None:
        path, kind, time = data["path"], data["kind"], self._at(data.get("time"))
        self.kinds[path] = kind
        if path == self._wanted:
            row = {key: data.get(key) for key in ("step", "kind", "text", "data", "file", "meta")}
            self.rows.append({**row, "step": float(data["step"]), "time": time, "ordinal": sequence, "part": 0})

    def _console(self, data: dict[str, Any], sequence: int) -> None:
        path = f"console/{_STREAMS[data['stream']]}"
        self.kinds[path] = "text"
        time, step = self._at(data["time"]), self._lines.get(path, 0)
        if data["flags"] & _OPEN:
            self._open[path] = {"text": data["text"], "time": time}
            return
        self._open.pop(path, None)
        lines = [data["text"]] if data["flags"] & _GAP else data["text"].split("\n")
        self._lines[path] = step + len(lines)
        if path == self._wanted:
            for part, text in enumerate(lines):
                self._line(step + part, text, time, sequence, part, gap=bool(data["flags"] & _GAP))

    def _line(self, step: int, text: str, time: float, sequence: int, part: int, **more: bool) -> None:
        row = {"step": float(step), "kind": "text", "text": text, "data": None, "file": None, "meta": None}
        self.rows.append({**row, "time": time, "ordinal": sequence, "part": part, **more})

    def _end_lines(self, sequence: int | None = None) -> None:
        """An unfinished line that nothing replaced: a line of the last word, else one that is still open."""
        for path, line in self._open.items():
            step = self._lines.get(path, 0)
            self._lines[path] = step + 1
            if path != self._wanted:
                continue
            if sequence is None:
                self._line(step, line["text"], line["time"], 0, 0, open=True)
            else:
                self._line(step, line["text"].replace("\n", " "), self.updated, sequence, 0)
        self._open.clear()

    def _at(self, time: Any) -> float:
        self._seen(time)
        return whole_ms(time) if isinstance(time, (int, float)) and math.isfinite(time) else self.updated

    def _seen(self, time: Any) -> None:
        if isinstance(time, (int, float)) and math.isfinite(time) and time > self.updated:
            self.updated = whole_ms(time)


def _records(data: bytes, head: journal_reader.Journal, offset: int) -> Iterator[tuple[int, int, int, int]]:
    """``(sequence, type, start and end of the payload)``, behind damage too, where records validate again."""
    check = zlib.crc32(head.nonce)
    sequence = head.first
    view = memoryview(data)
    size = len(data)
    while True:
        while size - offset >= 9:
            length, found = _HEAD.unpack_from(data, offset)
            end = offset + 8 + length
            if not 1 <= length <= journal.RECORD_LIMIT or end > size:
                break
            if zlib.crc32(view[offset + 8 : end], zlib.crc32(sequence.to_bytes(8, "little"), check)) != found:
                break
            yield sequence, data[offset + 8], offset + 9, end
            offset, sequence = end, sequence + 1
        if offset == size or not data[offset:].strip(b"\0"):
            return
        salvaged = journal_reader._salvage(data, offset, sequence, check)
        if salvaged is None:
            return
        offset, sequence = salvaged


def _attribute(value: Any) -> tuple[bool, Any]:
    """An attribute's value as the agent's API has it: a time is ``{"time": ms}``, an integer beyond a float's a text of digits."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return True, value
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value), value
    if not isinstance(value, dict) or len(value) != 1:
        return False, None
    ((key, inner),) = value.items()
    if key == "f" and inner in ("nan", "inf", "-inf"):
        return True, float(inner)
    if key == "i" and isinstance(inner, str):
        return True, inner
    if key == "t" and isinstance(inner, (int, float)):
        return True, {"time": inner}
    return False, None


def _summary(values: list[float]) -> dict[str, float]:
    empty = math.isnan(values[_MIN])
    return {
        "count": int(values[_COUNT]),
        "last": values[_LAST],
        "lastStep": values[_LAST_STEP],
        "min": values[_MIN],
        "minStep": values[_LAST_STEP] if empty else values[_MIN_STEP],
        "max": values[_MAX],
        "maxStep": values[_LAST_STEP] if empty else values[_MAX_STEP],
        "nonFinite": int(values[_NON_FINITE]),
    }


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def files_of(folder: str) -> dict[str, list[str]]:
    """The journals of a run's folder: writer to paths in the order of their numbers. Raises ``OSError``."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in os.listdir(folder):
        writer, number, ending = (*name.split("."), "", "")[:3]
        if ending == "fbj" and name.count(".") == 2 and len(writer) == 26 and number.isdigit():
            found.setdefault(writer, []).append((int(number), os.path.join(folder, name)))
    return {writer: [path for _, path in sorted(paths)] for writer, paths in found.items()}
