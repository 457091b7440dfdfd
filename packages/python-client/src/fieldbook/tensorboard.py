"""What TensorBoard event files say, in the words of Fieldbook: scalars, texts, images, histograms, audio, hyper-parameters.

Both generations are read: values in fields of their own (tensorboardX, torch, TensorFlow 1) and tensors whose plugin is
named in their metadata (TensorFlow 2, Keras, JAX). :mod:`fieldbook.tensorboard_follow` finds the files and writes the points.
"""

from __future__ import annotations

import re
import struct

from .tensorboard_bytes import (
    ELEMENTS_LIMIT,
    Damaged,
    as_bytes,
    as_double,
    as_float,
    as_integer,
    as_text,
    fields,
    numbers_of,
    varints_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Nesting of one hyper-parameter's value.
DEPTH_LIMIT = 16


class Point:
    """One thing that an event says.

    ``kind`` is ``scalar`` (``value`` a float), ``text`` (a text), ``image`` and ``audio`` (``value`` the file's bytes,
    ``meta`` its size or rate), ``histogram`` (``{"edges", "counts"}``), ``hparams`` (``{path: value}``, with the session's
    group under ``group``), ``metrics`` (what the experiment says of its metrics), or ``end`` (how a session ended).
    """

    __slots__ = ("index", "kind", "meta", "step", "tag", "time", "value")

    def __init__(
        self, kind: str, tag: str, step: int, time_ms: float, value: Any, meta: dict[str, Any] | None = None
    ) -> None:
        self.kind = kind
        self.tag = tag
        self.step = step
        self.time = time_ms
        self.value = value
        self.meta = meta or {}
        #: Of several images under one tag and step: which.
        self.index = 0

    def __repr__(self) -> str:
        return f"Point({self.kind}, {self.tag!r}, {self.step})"


class Meaning:
    """Makes points of the events of one file, whose plugins say only at first what their tags are."""

    def __init__(self) -> None:
        self._plugins: dict[str, str] = {}
        #: Events and values that this reader has no word for: graphs, meshes, curves of precision and recall.
        self.unknown = 0

    def points(self, event: bytes) -> list[Point]:
        """Raises :class:`Damaged` for what is no event."""
        time_ms, step, summary = 0.0, 0, None
        for number, kind, value in fields(event):
            if number == 1 and kind == 1:
                time_ms = as_double(value) * 1000.0
            elif number == 2 and kind == 0:
                step = as_integer(value)
            elif number == 5 and isinstance(value, bytes):
                summary = value
            elif number in (4, 8, 9):
                self.unknown += 1
        if summary is None:
            return []
        found: list[Point] = []
        for number, _, value in fields(summary):
            if number == 1 and isinstance(value, bytes):
                found += self._value(value, step, time_ms)
        return found

    def _value(self, data: bytes, step: int, time_ms: float) -> list[Point]:
        tag, node, plugin, content = "", "", None, b""
        parts: dict[int, int | bytes] = {}
        for number, kind, value in fields(data):
            if number == 1:
                tag = as_text(value)
            elif number == 7:
                node = as_text(value)
            elif number == 9:
                plugin, content = _plugin(as_bytes(value))
            elif number in (2, 4, 5, 6, 8) and kind != 0:
                parts[number] = value
        tag = tag or node
        if plugin:
            if len(self._plugins) < ELEMENTS_LIMIT:
                self._plugins[tag] = plugin
        else:
            plugin = self._plugins.get(tag, "")
        if plugin == "hparams":
            return _hparams(content, step, time_ms)
        if 2 in parts:
            return [Point("scalar", tag, step, time_ms, as_float(parts[2]))]
        if 4 in parts:
            return _image(tag, step, time_ms, as_bytes(parts[4]))
        if 5 in parts:
            return _histogram(tag, step, time_ms, as_bytes(parts[5]))
        if 6 in parts:
            return _audio(tag, step, time_ms, as_bytes(parts[6]))
        if 8 in parts:
            found = _of_tensor(plugin or "", tag, step, time_ms, _Tensor(as_bytes(parts[8])))
            if found:
                return found
        self.unknown += 1
        return []


def _plugin(data: bytes) -> tuple[str, bytes]:
    """Name and content of SummaryMetadata's plugin; ``class:1`` when it only says that it is scalars."""
    name, content, kind = "", b"", 0
    for number, _, value in fields(data):
        if number == 1 and isinstance(value, bytes):
            for inner, _, piece in fields(value):
                if inner == 1:
                    name = as_text(piece)
                elif inner == 2:
                    content = as_bytes(piece)
        elif number == 4 and isinstance(value, int):
            kind = value
    return name or ("scalars" if kind == 1 else ""), content


#: struct's form and size of each DataType.
_FORMS = {
    1: ("f", 4),
    2: ("d", 8),
    3: ("i", 4),
    4: ("B", 1),
    5: ("h", 2),
    6: ("b", 1),
    9: ("q", 8),
    10: ("?", 1),
    17: ("H", 2),
    19: ("e", 2),
    22: ("I", 4),
    23: ("Q", 8),
}


class _Tensor:
    """A TensorProto: its shape, and its elements as numbers or bytes."""

    def __init__(self, data: bytes) -> None:
        self.dtype = 0
        self.shape: list[int] = []
        self.strings: list[bytes] = []
        self._content = b""
        self._lists: dict[int, list[tuple[int, int | bytes]]] = {}
        for number, kind, value in fields(data):
            if number == 1:
                self.dtype = as_integer(value)
            elif number == 2:
                self._shape(as_bytes(value))
            elif number == 4:
                self._content = as_bytes(value)
            elif number == 8:
                if len(self.strings) >= ELEMENTS_LIMIT:
                    raise Damaged("a tensor of too many texts")
                self.strings.append(as_bytes(value))
            elif number in (5, 6, 7, 10, 11, 13, 16, 17):
                self._lists.setdefault(number, []).append((kind, value))

    def _shape(self, data: bytes) -> None:
        for number, _, value in fields(data):
            if number == 2 and isinstance(value, bytes):
                size = next((as_integer(piece) for inner, _, piece in fields(value) if inner == 1), 0)
                self.shape.append(max(0, size))

    def numbers(self) -> list[float]:
        """All elements. A shorter list than the shape says stands for its last element repeated, as in TensorFlow."""
        count = 1
        for size in self.shape:
            count *= size
        if count > ELEMENTS_LIMIT:
            raise Damaged(f"a tensor of {count} elements")
        found = self._of_content() if self._content else self._of_lists()
        if found and len(found) < count:
            found += [found[-1]] * (count - len(found))
        return found[:count]

    def _of_content(self) -> list[float]:
        if self.dtype == 14:  # bfloat16: the upper half of a float
            return [
                struct.unpack("<f", b"\0\0" + self._content[at : at + 2])[0]
                for at in range(0, len(self._content) & ~1, 2)
            ]
        form, size = _FORMS.get(self.dtype, ("", 0))
        if not form or len(self._content) % size or len(self._content) // size > ELEMENTS_LIMIT:
            raise Damaged("a tensor whose bytes do not fit its type")
        return [float(item) for (item,) in struct.iter_unpack(f"<{form}", self._content)]

    def _of_lists(self) -> list[float]:
        lists = self._lists
        if 5 in lists:
            return numbers_of(lists[5], "f", 4)
        if 6 in lists:
            return numbers_of(lists[6], "d", 8)
        if 13 in lists:
            return [_half(item, self.dtype) for item in varints_of(lists[13])]
        for number in (7, 10, 11, 16, 17):
            if number in lists:
                return [float(item) for item in varints_of(lists[number])]
        return []


def _half(bits: int, dtype: int) -> float:
    """An element of ``half_val``: 16 bits of a half or bfloat16. torch puts the 32 bits of a float there, which need more."""
    if not 0 <= bits <= 0xFFFF:
        return float(struct.unpack("<f", (bits & 0xFFFFFFFF).to_bytes(4, "little"))[0])
    if dtype == 14:
        return float(struct.unpack("<f", (bits << 16).to_bytes(4, "little"))[0])
    return float(struct.unpack("<e", bits.to_bytes(2, "little"))[0])


def _of_tensor(plugin: str, tag: str, step: int, time_ms: float, tensor: _Tensor) -> list[Point]:
    if plugin == "text" or (tensor.dtype == 7 and plugin == ""):
        texts = [text.decode("utf-8", "replace") for text in tensor.strings]
        return (
            [Point("text", tag, step, time_ms, _table_of(texts, tensor.shape), {"format": "markdown"})] if texts else []
        )
    if plugin == "images" and len(tensor.strings) > 2:
        # Width, height, then the images.
        size = {"width": _small(tensor.strings[0]), "height": _small(tensor.strings[1])}
        return _numbered([Point("image", tag, step, time_ms, image, dict(size)) for image in tensor.strings[2:]])
    if plugin == "audio":
        # Clips, or pairs of a clip and its label.
        pairs = len(tensor.shape) > 1
        clips = tensor.strings[:: 2 if pairs else 1]
        return _numbered([Point("audio", tag, step, time_ms, clip) for clip in clips if clip])
    if plugin == "histograms":
        return _bins(tag, step, time_ms, tensor.numbers())
    if plugin in ("scalars", "tensor", "") and tensor.dtype != 7:
        numbers = tensor.numbers()
        if len(numbers) == 1:
            return [Point("scalar", tag, step, time_ms, numbers[0])]
    return []


def _small(text: bytes) -> int:
    return int(text) if re.match(rb"\d{1,6}\Z", text) else 0


def _table_of(texts: list[str], shape: list[int]) -> str:
    """Texts of a vector stand below each other, those of a matrix in a Markdown table, as TensorBoard shows them."""
    if len(texts) == 1:
        return texts[0]
    width = shape[-1] if len(shape) > 1 and shape[-1] > 0 else 1
    if width == 1:
        return "\n\n".join(texts)
    cells = [text.replace("|", "\\|").replace("\n", " ") for text in texts]
    lines = ["| " + " | ".join(cells[at : at + width]) + " |" for at in range(0, len(cells), width)]
    return "\n".join(["|" + "   |" * width, "|" + "---|" * width, *lines])


def _numbered(points: list[Point]) -> list[Point]:
    for index, point in enumerate(points):
        point.index = index
    return points


def _image(tag: str, step: int, time_ms: float, data: bytes) -> list[Point]:
    meta: dict[str, Any] = {}
    encoded = b""
    for number, _, value in fields(data):
        if number in (1, 2) and isinstance(value, int) and 0 < value < 1 << 20:
            meta["height" if number == 1 else "width"] = value
        elif number == 4:
            encoded = as_bytes(value)
    return [Point("image", tag, step, time_ms, encoded, meta)] if encoded else []


def _audio(tag: str, step: int, time_ms: float, data: bytes) -> list[Point]:
    meta: dict[str, Any] = {}
    encoded = b""
    for number, kind, value in fields(data):
        if number == 1 and kind == 5:
            rate = as_float(value)
            if 0.0 < rate < 1e9:
                meta["rate"] = rate
        elif number == 2 and isinstance(value, int) and value < 1024:
            meta["channels"] = value
        elif number == 4:
            encoded = as_bytes(value)
        elif number == 5:
            meta["type"] = as_text(value)[:100]
    return [Point("audio", tag, step, time_ms, encoded, meta)] if encoded else []


def _histogram(tag: str, step: int, time_ms: float, data: bytes) -> list[Point]:
    """HistogramProto: upper limits and counts, the outermost limits being ±1.8e308 where nothing is known."""
    low = high = 0.0  # a zero is not written
    limits: list[tuple[int, int | bytes]] = []
    buckets: list[tuple[int, int | bytes]] = []
    for number, kind, value in fields(data):
        if number == 1:
            low = as_double(value)
        elif number == 2:
            high = as_double(value)
        elif number == 6:
            limits.append((kind, value))
        elif number == 7:
            buckets.append((kind, value))
    uppers, counts = numbers_of(limits, "d", 8), numbers_of(buckets, "d", 8)
    if not uppers or len(uppers) != len(counts):
        return []
    edges = [low, *uppers]
    # Empty buckets at the ends only say how wide the writer's grid is.
    first = next((at for at, count in enumerate(counts) if count), 0)
    last = next((at for at in range(len(counts) - 1, -1, -1) if counts[at]), first)
    counts = counts[first : last + 1]
    edges = [max(low, edges[first]) if first else low, *edges[first + 1 : last + 1], high]
    return _checked_histogram(tag, step, time_ms, edges, counts)


def _bins(tag: str, step: int, time_ms: float, numbers: list[float]) -> list[Point]:
    """The tensor form: rows of (left, right, count)."""
    if len(numbers) % 3 or not numbers:
        return []
    rows = [numbers[at : at + 3] for at in range(0, len(numbers), 3)]
    edges: list[float] = [rows[0][0]]
    counts: list[float] = []
    for left, right, count in rows:
        if left > edges[-1]:  # a hole between two bins is an empty one
            edges.append(left)
            counts.append(0.0)
        edges.append(right)
        counts.append(count)
    return _checked_histogram(tag, step, time_ms, edges, counts)


def _checked_histogram(tag: str, step: int, time_ms: float, edges: list[float], counts: list[float]) -> list[Point]:
    finite = all(abs(number) < 1.8e308 for number in (*edges, *counts))  # False for NaN too
    rising = all(edges[at] <= edges[at + 1] for at in range(len(edges) - 1))
    if not finite or not rising or any(count < 0 for count in counts):
        return []
    value = {"edges": [_short(edge) for edge in edges], "counts": [_short(count) for count in counts]}
    return [Point("histogram", tag, step, time_ms, value)]


def _short(number: float) -> float | int:
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


# -- hyper-parameters -----------------------------------------------------------------------------------------------------


def _hparams(content: bytes, step: int, time_ms: float) -> list[Point]:
    """What the hparams plugin keeps in the metadata of its summaries."""
    for number, _, value in fields(content):
        if not isinstance(value, bytes):
            continue
        if number == 3:
            return [_session_start(value, step, time_ms)]
        if number == 4:
            status = next((as_integer(piece) for inner, _, piece in fields(value) if inner == 1), 0)
            words = {1: "success", 2: "failure", 3: "running"}
            return [Point("end", "hparams", step, time_ms, words.get(status, "unknown"))]
        if number == 2:
            return _experiment(value, step, time_ms)
    return []


def _session_start(data: bytes, step: int, time_ms: float) -> Point:
    found: dict[str, Any] = {}
    group = None
    for number, _, value in fields(data):
        if number == 1 and isinstance(value, bytes):
            name, item = "", None
            for inner, _, piece in fields(value):
                if inner == 1:
                    name = as_text(piece)
                elif inner == 2:
                    item = _json_value(as_bytes(piece))
            if name and len(found) < 10_000:
                found[name] = item
        elif number == 4:
            group = as_text(value) or None
    return Point("hparams", "hparams", step, time_ms, found, {"group": group})


def _experiment(data: bytes, step: int, time_ms: float) -> list[Point]:
    tags: list[str] = []
    for number, _, value in fields(data):
        if number == 6 and isinstance(value, bytes) and len(tags) < 1000:
            for inner, _, piece in fields(value):
                if inner == 1 and isinstance(piece, bytes):
                    names = {which: as_text(name) for which, _, name in fields(piece)}
                    tags.append("/".join(filter(None, (names.get(1), names.get(2)))))
    return [Point("metrics", "hparams", step, time_ms, tags)] if tags else []


def _json_value(data: bytes, depth: int = 0) -> Any:
    """A google.protobuf.Value."""
    if depth > DEPTH_LIMIT:
        raise Damaged("a value nested too deep")
    for number, _, value in fields(data):
        if number == 2:
            return _short(as_double(value))
        if number == 3:
            return as_text(value)
        if number == 4:
            return bool(value)
        if number == 6 and isinstance(value, bytes):
            return [_json_value(as_bytes(piece), depth + 1) for inner, _, piece in fields(value) if inner == 1]
        if number == 5 and isinstance(value, bytes):
            found: dict[str, Any] = {}
            for _, _, pair in fields(value):
                names = {inner: piece for inner, _, piece in fields(as_bytes(pair))}
                found[as_text(names.get(1, b""))] = _json_value(as_bytes(names.get(2, b"")), depth + 1)
            return found
    return None
