"""The bytes of a journal: constants and encoders. ``docs/formats/journal.md`` is the contract.

The durability argument starts here. A record carries a CRC-32 over the file's nonce, its sequence number, its type
and its payload, so whatever a dying machine leaves behind the last whole record (half a record, a tail of zeros, an
old disk block, a piece of another file) does not validate and is dropped, and nothing else is. Nothing in this module
touches a file: :mod:`fieldbook.writer` does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


MAGIC = b"FBJ1"
MAJOR = 1
MINOR = 1
HEADER_SIZE = 72
HEADER_LIMIT = 4096
#: Type and payload of one record. A longer one is damage, so a reader never waits for gigabytes that will not come.
RECORD_LIMIT = 1_048_576
#: Metric numbers are below this.
METRIC_LIMIT = 1_048_576
#: UTF-8 bytes of a metric or attribute path.
PATH_LIMIT = 512
#: UTF-8 bytes of the text of one OBJECT.
TEXT_LIMIT = 65_536
#: UTF-8 bytes of the text of one CONSOLE record.
CONSOLE_LIMIT = 262_144
#: Bytes of the payload of one CAPTURE: 512 KiB of ``data`` and what stands around it.
CAPTURE_LIMIT = 524_288 + 4096

META = 1
DECLARE = 2
SCALARS = 3
STEPPED = 4
ATTRS = 5
TAGS = 6
STATUS = 7
HEARTBEAT = 8
GAP = 9
CLOSE = 10
ROTATED = 11
FILE = 12
OBJECT = 13
CONSOLE = 14
CAPTURE = 15

#: Streams of CONSOLE.
STDOUT = 1
STDERR = 2
TERMINAL = 3
#: Flags of CONSOLE: an unfinished line that the stream's next record replaces; a notice of what was left out.
CONSOLE_OPEN = 1
CONSOLE_GAP = 2

TYPE_NAMES = {
    META: "META",
    DECLARE: "DECLARE",
    SCALARS: "SCALARS",
    STEPPED: "STEPPED",
    ATTRS: "ATTRS",
    TAGS: "TAGS",
    STATUS: "STATUS",
    HEARTBEAT: "HEARTBEAT",
    GAP: "GAP",
    CLOSE: "CLOSE",
    ROTATED: "ROTATED",
    FILE: "FILE",
    OBJECT: "OBJECT",
    CONSOLE: "CONSOLE",
    CAPTURE: "CAPTURE",
}

_HEADER = struct.Struct("<4sBBH16sIIQ26s2x")
_FRAME = struct.Struct("<II")
_SEQUENCE_TYPE = struct.Struct("<QB")
_DECLARE = struct.Struct("<IH")
_CONSOLE = struct.Struct("<dBB")


def header(nonce: bytes, number: int, first: int, writer: str) -> bytes:
    """The 72 bytes at the head of file ``number`` of ``writer``, whose first record has the sequence number ``first``."""
    body = _HEADER.pack(MAGIC, MAJOR, MINOR, HEADER_SIZE, nonce, number, 0, first, writer.encode("ascii"))
    return body + zlib.crc32(body).to_bytes(4, "little")


def frame(nonce_check: int, sequence: int, kind: int, payload: bytes) -> bytes:
    """One record. ``nonce_check`` is ``zlib.crc32(nonce)``: the part of the check that a file's records share."""
    body = _SEQUENCE_TYPE.pack(sequence, kind) + payload
    return _FRAME.pack(len(body) - 8, zlib.crc32(body, nonce_check)) + body[8:]


def to_json(value: Any) -> bytes:
    """Compact JSON; a lone surrogate becomes ``?`` because UTF-8 has no bytes for it."""
    import json  # and with it re and enum: 5 ms that `import fieldbook` does not cost; META has loaded it by the time a run ends

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def declare(names: Iterable[tuple[int, str]]) -> bytes:
    """Payload of DECLARE."""
    parts = []
    for number, path in names:
        encoded = path.encode()
        parts.append(_DECLARE.pack(number, len(encoded)))
        parts.append(encoded)
    return b"".join(parts)


def scalars(time_ms: float, step: float, numbers: Sequence[int], values: Sequence[float]) -> bytes:
    """Payload of SCALARS: one step for all metrics."""
    count = len(numbers)
    return struct.pack(f"<dd{count}I{count}d", time_ms, step, *numbers, *values)


def stepped(time_ms: float, numbers: Sequence[int], steps: Sequence[float], values: Sequence[float]) -> bytes:
    """Payload of STEPPED: a step for each metric."""
    count = len(numbers)
    return struct.pack(f"<d{count}I{count}d{count}d", time_ms, *numbers, *steps, *values)


def heartbeat(time_ms: float) -> bytes:
    """Payload of HEARTBEAT."""
    return struct.pack("<d", time_ms)


def rotated(time_ms: float, number: int) -> bytes:
    """Payload of ROTATED: the writer goes on in file ``number``."""
    return struct.pack("<dI", time_ms, number)


def console(time_ms: float, stream: int, flags: int, text: str) -> bytes:
    """Payload of CONSOLE: whole lines of ``text`` separated by newlines, without a last one. At most ``CONSOLE_LIMIT`` bytes."""
    return _CONSOLE.pack(time_ms, stream, flags) + text.encode("utf-8", "replace")
