"""Event files made by hand, byte by byte, for what no library writes on request."""

from __future__ import annotations

import struct
from pathlib import Path

from fieldbook import tensorboard
from fieldbook.tensorboard_bytes import frame_at, masked_crc

GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden" / "tensorboard"


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: bytes | int | float) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def frame(body: bytes) -> bytes:
    length = struct.pack("<Q", len(body))
    return length + struct.pack("<I", masked_crc(length)) + body + struct.pack("<I", masked_crc(body))


def event(values: bytes, step: int = 0, seconds: float = 1_700_000_000.0) -> bytes:
    """A framed event with the summary of these values."""
    return frame(field(1, seconds) + field(2, step) + field(5, values))


def value(tag: str, number: int, content: bytes, plugin: str = "") -> bytes:
    metadata = field(9, field(1, field(1, plugin.encode()))) if plugin else b""
    return field(1, field(1, tag.encode()) + metadata + field(number, content))


def scalar(tag: str, number: float, step: int = 0, seconds: float = 1_700_000_000.0) -> bytes:
    simple = varint(2 << 3 | 5) + struct.pack("<f", number)
    return event(field(1, field(1, tag.encode()) + simple), step, seconds)


def tensor(dtype: int, shape: list[int], *fields: bytes) -> bytes:
    dims = b"".join(field(2, field(1, size)) for size in shape)
    return field(1, dtype) + field(2, dims) + b"".join(fields)


def points_of(data: bytes) -> list[tensorboard.Point]:
    """All points of whole frames."""
    meaning = tensorboard.Meaning()
    found: list[tensorboard.Point] = []
    at = 0
    while True:
        frame_ = frame_at(memoryview(data), at)
        if frame_ is None:
            return found
        body, at = frame_
        found += meaning.points(body)


def one(values: bytes) -> tensorboard.Point:
    (point,) = points_of(event(values))
    return point
