"""Reads journals: for ``python -m fieldbook dump``, for tests, and for people whose agent is gone.

It takes whole files, not streams; the agent's incremental reader is ``packages/core/src/journal``. Both read the
files of ``tests/golden/journal`` and must agree on every one.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import journal

#: How many bytes salvage may run through the checksum before it gives up: a damaged 16 MiB file takes about a second.
_SALVAGE_BUDGET = 256 * 1024 * 1024
#: A name in a writer's spool folder, and the name of a section of CAPTURE.
_SPOOLED = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")
_SECTION = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class JournalCorrupt(ValueError):
    """The header is not that of a journal, or is of a major version that this program does not know."""


@dataclass
class Record:
    """One validated record. ``data`` is what its type says; ``malformed`` when its payload does not parse."""

    sequence: int
    offset: int
    kind: int
    data: dict[str, Any]
    malformed: bool = False

    @property
    def name(self) -> str:
        return journal.TYPE_NAMES.get(self.kind, str(self.kind))


@dataclass
class Journal:
    """What one file says. ``state`` is ``clean``, ``torn``, ``zeros`` or ``corrupt``; all before ``offset`` is good."""

    writer: str
    nonce: bytes
    number: int
    first: int
    minor: int
    records: list[Record] = field(default_factory=list)
    state: str = "clean"
    offset: int = 0
    sequence: int = 0
    salvage: tuple[int, int] | None = None
    """Offset and sequence number of the first record behind the damage that validates."""

    @property
    def unknown(self) -> int:
        return sum(1 for record in self.records if record.kind not in journal.TYPE_NAMES)

    @property
    def malformed(self) -> int:
        return sum(1 for record in self.records if record.malformed)

    def names(self) -> dict[int, str]:
        """Metric number to path."""
        return {
            number: path
            for record in self.records
            if record.kind == journal.DECLARE and not record.malformed
            for number, path in record.data["names"]
        }

    def points(self) -> Iterator[tuple[str, float, float, float, int]]:
        """``(path, step, value, time in ms, ordinal)`` of every point, in the order of the file."""
        names = self.names()
        for record in self.records:
            if record.kind in (journal.SCALARS, journal.STEPPED) and not record.malformed:
                for number, step, value in record.data["points"]:
                    yield names[number], step, value, record.data["time"], record.sequence

    def values(self, path: str) -> list[float]:
        """The values of one metric."""
        return [value for name, _, value, _, _ in self.points() if name == path]

    def attributes(self) -> dict[str, Any]:
        """Attribute path to its last value."""
        result: dict[str, Any] = {}
        for record in self.records:
            if record.kind != journal.ATTRS or record.malformed:
                continue
            for gone in record.data.get("del", []):
                for path in [path for path in result if path == gone or path.startswith(gone + "/")]:
                    del result[path]
            for path, value in record.data.get("set", {}).items():
                result[path] = decode_attribute(value)
        return result

    def of(self, kind: int) -> list[dict[str, Any]]:
        """The data of all records of one type."""
        return [record.data for record in self.records if record.kind == kind]


def decode_attribute(value: Any) -> Any:
    """An attribute from its JSON: special floats, big integers and times out of their one-key objects."""
    if isinstance(value, dict) and len(value) == 1:
        if "f" in value:
            return float(value["f"])
        if "i" in value:
            return int(value["i"])
    return value


def read(data: bytes) -> Journal:
    """Everything in a whole file. Raises :class:`JournalCorrupt` when not even the header is good."""
    result, offset = _read_header(data)
    check = zlib.crc32(result.nonce)
    sequence = result.first
    names: dict[int, str] = {}
    while True:
        state, end = _probe(data, offset, sequence, check)
        if state != "record":
            break
        result.records.append(_decode(data, offset, end, sequence, names))
        offset, sequence = end, sequence + 1
    result.offset, result.sequence = offset, sequence
    if state in ("corrupt", "torn"):
        result.salvage = _salvage(data, offset, sequence, check)
        if result.salvage is not None:
            state = "corrupt"
    result.state = state
    return result


def _read_header(data: bytes) -> tuple[Journal, int]:
    if len(data) < journal.HEADER_SIZE or data[:4] != journal.MAGIC:
        raise JournalCorrupt("this is not a journal: its first bytes are not FBJ1 and a header")
    major, minor, size = struct.unpack_from("<BBH", data, 4)
    if major != journal.MAJOR:
        raise JournalCorrupt(f"this journal has format version {major}; this program reads {journal.MAJOR}")
    if not journal.HEADER_SIZE <= size <= min(journal.HEADER_LIMIT, len(data)):
        raise JournalCorrupt(f"the header says that it has {size} bytes")
    if zlib.crc32(data[: size - 4]) != struct.unpack_from("<I", data, size - 4)[0]:
        raise JournalCorrupt("the header's checksum is wrong")
    nonce, number, _flags, first, writer = struct.unpack_from("<16sIIQ26s", data, 8)
    return Journal(writer.decode("ascii", "replace"), nonce, number, first, minor), size


def _probe(data: bytes, offset: int, sequence: int, nonce_check: int) -> tuple[str, int]:
    """What lies at ``offset``: ``record`` and where it ends, or how reading ends."""
    rest = len(data) - offset
    if rest == 0:
        return "clean", offset
    if rest < 4:
        return ("zeros" if not any(data[offset:]) else "torn"), offset
    length = struct.unpack_from("<I", data, offset)[0]
    if length == 0:
        return ("zeros" if not data[offset:].strip(b"\0") else "corrupt"), offset
    if length > journal.RECORD_LIMIT:
        return "corrupt", offset
    end = offset + 8 + length
    if rest < 8 or end > len(data):
        return "torn", offset
    if _valid(data, offset, length, sequence, nonce_check):
        return "record", end
    return ("corrupt" if data[end:].strip(b"\0") else "torn"), offset


def _valid(data: bytes, offset: int, length: int, sequence: int, nonce_check: int) -> bool:
    check = zlib.crc32(sequence.to_bytes(8, "little"), nonce_check)
    found: int = struct.unpack_from("<I", data, offset + 4)[0]
    return zlib.crc32(memoryview(data)[offset + 8 : offset + 8 + length], check) == found


def _salvage(data: bytes, bad: int, sequence: int, nonce_check: int) -> tuple[int, int] | None:
    """The first offset behind ``bad`` where a later record validates and is not contradicted by what follows it."""
    budget = _SALVAGE_BUDGET
    for offset in range(bad + 1, len(data) - 8):
        length = struct.unpack_from("<I", data, offset)[0]
        if not 1 <= length <= journal.RECORD_LIMIT or offset + 8 + length > len(data):
            continue
        if data[offset + 8] not in journal.TYPE_NAMES:
            continue
        # The smallest record has 9 bytes, so at most this many can have been lost between.
        for candidate in range(sequence + 1, sequence + 2 + (offset - bad) // 9):
            budget -= length
            if budget < 0:
                return None
            if _valid(data, offset, length, candidate, nonce_check):
                state, _ = _probe(data, offset + 8 + length, candidate + 1, nonce_check)
                if state != "corrupt":
                    return offset, candidate
    return None


def _decode(data: bytes, offset: int, end: int, sequence: int, names: dict[int, str]) -> Record:
    kind = data[offset + 8]
    payload = data[offset + 9 : end]
    record = Record(sequence, offset, kind, {})
    try:
        record.data = _decode_payload(kind, payload, names)
    except (ValueError, RecursionError, struct.error):
        record.malformed = True
    return record


def _decode_payload(kind: int, payload: bytes, names: dict[int, str]) -> dict[str, Any]:
    if kind in (journal.META, journal.ATTRS, journal.TAGS, journal.STATUS, journal.GAP, journal.CLOSE):
        value = json.loads(payload.decode(), parse_constant=_refuse_constant)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value
    if kind in (journal.FILE, journal.OBJECT, journal.CAPTURE):
        return _decode_object(kind, payload)
    if kind == journal.CONSOLE:
        return _decode_console(payload)
    if kind == journal.DECLARE:
        return {"names": _decode_names(payload, names)}
    if kind == journal.SCALARS:
        count, rest = divmod(len(payload) - 16, 12)
        if rest or count < 0:
            raise ValueError("not a whole number of points")
        time_ms, step, *flat = struct.unpack(f"<dd{count}I{count}d", payload)
        if not math.isfinite(step):
            raise ValueError("a step is not finite")
        points = [(n, step, v) for n, v in zip(flat[:count], flat[count:]) if n in names]
        return {"time": time_ms, "points": points, "dropped": count - len(points)}
    if kind == journal.STEPPED:
        count, rest = divmod(len(payload) - 8, 20)
        if rest or count < 0:
            raise ValueError("not a whole number of points")
        time_ms, *flat = struct.unpack(f"<d{count}I{count}d{count}d", payload)
        rows = zip(flat[:count], flat[count : 2 * count], flat[2 * count :])
        points = [(n, s, v) for n, s, v in rows if n in names and math.isfinite(s)]
        return {"time": time_ms, "points": points, "dropped": count - len(points)}
    if kind == journal.HEARTBEAT:
        return {"time": struct.unpack("<d", payload)[0]}
    if kind == journal.ROTATED:
        time_ms, number = struct.unpack("<dI", payload)
        return {"time": time_ms, "number": number}
    return {"size": len(payload)}


def _decode_object(kind: int, payload: bytes) -> dict[str, Any]:
    """FILE, OBJECT and CAPTURE: what a reader cannot do without is there and has its kind; the rest is checked where it is used."""
    if kind == journal.CAPTURE and len(payload) > journal.CAPTURE_LIMIT:
        raise ValueError("more than a section may hold")
    value = json.loads(payload.decode(), parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    if kind == journal.CAPTURE:
        section, data = value.get("section"), value.get("data")
        if not (isinstance(section, str) and _SECTION.fullmatch(section) and isinstance(data, dict)):
            raise ValueError("no section or no data")
        return value
    if not isinstance(value.get("path"), str):
        raise ValueError("no path")
    if kind == journal.FILE:
        if not isinstance(value.get("name"), str) or not _is_spooled(value.get("spool"), True):
            raise ValueError("no name, or not a name in the spool folder")
        return value
    step, file, text = value.get("step"), value.get("file"), value.get("text")
    if not isinstance(value.get("kind"), str) or not _is_finite(step):
        raise ValueError("no kind or no step")
    if file is not None and not (isinstance(file, dict) and _is_spooled(file.get("spool"), False)):
        raise ValueError("a file that is not named")
    if value["kind"] == "text" and not isinstance(text, str):
        raise ValueError("a text without a text")
    if isinstance(text, str) and len(text.encode("utf-8", "replace")) > journal.TEXT_LIMIT:
        raise ValueError("a text beyond the limit")
    return value


def _is_finite(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_spooled(name: Any, may_lack: bool) -> bool:
    if name is None:
        return may_lack
    return isinstance(name, str) and _SPOOLED.fullmatch(name) is not None


def _decode_console(payload: bytes) -> dict[str, Any]:
    time_ms, stream, flags = struct.unpack_from("<dBB", payload)
    if stream not in (journal.STDOUT, journal.STDERR, journal.TERMINAL) or len(payload) - 10 > journal.CONSOLE_LIMIT:
        raise ValueError("no such stream, or a text beyond the limit")
    return {"time": time_ms, "stream": stream, "flags": flags, "text": payload[10:].decode()}


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _decode_names(payload: bytes, names: dict[int, str]) -> list[tuple[int, str]]:
    found: dict[int, str] = {}
    position = 0
    while position < len(payload):
        number, size = struct.unpack_from("<IH", payload, position)
        position += 6
        if position + size > len(payload) or size > journal.PATH_LIMIT or number >= journal.METRIC_LIMIT:
            raise ValueError("a name ends early or is beyond the limits")
        path = payload[position : position + size].decode()
        if names.get(number, path) != path or found.get(number, path) != path:
            raise ValueError("a number has two names")
        found[number] = path
        position += size
    names.update(found)
    return list(found.items())
