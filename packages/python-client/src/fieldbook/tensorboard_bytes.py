"""The bytes of TensorBoard event files: TFRecord frames and protocol buffers, read with no library.

An event file is a sequence of frames ``length:u64 crc(length):u32 data crc(data):u32`` (CRC-32C, masked), each the bytes of
an ``Event``. Other programs write them and may be writing them now, so nothing is believed: lengths are bounded, an
unfinished frame is waited for, and a frame that does not check is damage.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    Field = tuple[int, int, Union[int, bytes]]

#: A frame may hold an image or a graph; more than this is damage.
FRAME_LIMIT = 256 * 1024 * 1024
#: Elements of one tensor of a histogram or of texts.
ELEMENTS_LIMIT = 100_000
#: Fields of one message, nested ones apart.
FIELDS_LIMIT = 1_000_000

_FRAME_HEAD = struct.Struct("<QI")
FRAME_HEAD_BYTES = _FRAME_HEAD.size
_U32 = struct.Struct("<I")


class Damaged(Exception):
    """The bytes at this place are not a frame, or not an event."""


def _table() -> list[list[int]]:
    """CRC-32C (Castagnoli), eight bytes at a time."""
    first = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        first.append(value)
    tables = [first]
    for _ in range(7):
        last = tables[-1]
        tables.append([first[value & 0xFF] ^ (value >> 8) for value in last])
    return tables


_TABLES: list[list[int]] = []


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes. Plain Python, 10 to 20 MB/s: event frames are small."""
    if not _TABLES:
        _TABLES.extend(_table())
    t0, t1, t2, t3, t4, t5, t6, t7 = _TABLES
    crc = 0xFFFFFFFF
    whole = len(data) & ~7
    for first, high in struct.iter_unpack("<II", memoryview(data)[:whole]):
        low = first ^ crc
        crc = (
            t7[low & 0xFF]
            ^ t6[(low >> 8) & 0xFF]
            ^ t5[(low >> 16) & 0xFF]
            ^ t4[low >> 24]
            ^ t3[high & 0xFF]
            ^ t2[(high >> 8) & 0xFF]
            ^ t1[(high >> 16) & 0xFF]
            ^ t0[high >> 24]
        )
    for byte in data[whole:]:
        crc = t0[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """The check of a frame."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


#: Data beyond this is believed by its length's check: 64 MB of image would cost seconds to sum up.
CHECKED_BYTES = 8 * 1024 * 1024


def frame_at(data: memoryview, offset: int) -> tuple[bytes, int] | None:
    """The event that begins at ``offset`` and where the next one does; None while it is not whole.

    Raises :class:`Damaged` when no more bytes could make it one.
    """
    if len(data) - offset < _FRAME_HEAD.size:
        return None
    start = offset + FRAME_HEAD_BYTES
    length = length_of(bytes(data[offset:start]))
    if len(data) - start < length + 4:
        return None
    body = bytes(data[start : start + length])
    if length <= CHECKED_BYTES and masked_crc(body) != _U32.unpack_from(data, start + length)[0]:
        raise Damaged("a frame does not have its check")
    return body, start + length + 4


def length_of(head: bytes) -> int:
    """The length of a frame's event, from its first ``FRAME_HEAD_BYTES``. Raises :class:`Damaged`."""
    length, check = _FRAME_HEAD.unpack(head)
    if masked_crc(head[:8]) != check or length > FRAME_LIMIT:
        raise Damaged("the length of a frame does not have its check")
    return int(length)


def wanted_bytes(data: memoryview, offset: int) -> int:
    """How many bytes the unfinished frame at ``offset`` needs; 0 when its length is not there yet."""
    if len(data) - offset < _FRAME_HEAD.size:
        return 0
    return int(_FRAME_HEAD.unpack_from(data, offset)[0]) + _FRAME_HEAD.size + 4


# -- protocol buffers ---------------------------------------------------------------------------------------------------


def fields(data: bytes) -> Iterator[Field]:
    """``(number, wire type, value)`` of a message: an integer for varints and fixed sizes, else bytes."""
    offset, end, count = 0, len(data), 0
    while offset < end:
        count += 1
        if count > FIELDS_LIMIT:
            raise Damaged("a message with too many fields")
        key, offset = _varint(data, offset)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Damaged("a field without a number")
        if kind == 0:
            value, offset = _varint(data, offset)
            yield number, kind, value
            continue
        if kind == 2:
            size, offset = _varint(data, offset)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Damaged(f"a field of wire type {kind}")
        if size > end - offset:
            raise Damaged("a field longer than its message")
        piece = data[offset : offset + size]
        offset += size
        yield number, kind, piece if kind == 2 else int.from_bytes(piece, "little")


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if offset >= len(data) or shift > 63:
            raise Damaged("a number that does not end")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, offset
        shift += 7


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def as_double(value: int | bytes) -> float:
    return float(
        struct.unpack("<d", value.to_bytes(8, "little") if isinstance(value, int) else value[:8].ljust(8, b"\0"))[0]
    )


def as_float(value: int | bytes) -> float:
    return float(
        struct.unpack("<f", (value & 0xFFFFFFFF).to_bytes(4, "little") if isinstance(value, int) else value[:4])[0]
    )


def as_text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def as_bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""


def as_integer(value: int | bytes) -> int:
    return _signed(value) if isinstance(value, int) else 0


def numbers_of(data: list[tuple[int, int | bytes]], form: str, size: int) -> list[float]:
    """A repeated number, packed or not: ``(wire type, value)`` of each occurrence."""
    found: list[float] = []
    for kind, value in data:
        if kind == 2 and isinstance(value, bytes):
            if len(value) % size or len(found) + len(value) // size > ELEMENTS_LIMIT:
                raise Damaged("a list of numbers of a wrong size")
            found += [float(item) for (item,) in struct.iter_unpack(f"<{form}", value)]
        elif isinstance(value, int):
            found.append(float(struct.unpack(f"<{form}", value.to_bytes(8, "little")[:size])[0]))
    return found


def varints_of(data: list[tuple[int, int | bytes]]) -> list[int]:
    found: list[int] = []
    for kind, value in data:
        if kind == 0 and isinstance(value, int):
            found.append(_signed(value))
        elif isinstance(value, bytes):
            offset = 0
            while offset < len(value):
                if len(found) >= ELEMENTS_LIMIT:
                    raise Damaged("a list with too many numbers")
                item, offset = _varint(value, offset)
                found.append(_signed(item))
    return found
