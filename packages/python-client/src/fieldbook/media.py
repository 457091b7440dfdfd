"""What a series can hold besides numbers: ``run["samples"].append(fieldbook.Image(array), step=3)``.

Each class checks its arguments when it is made (a mistake is told there, on every rank) and turns into bytes only when it
is recorded. Nothing is imported for a library that the training has not imported itself: arrays, tensors, figures and
frames are known by what they carry (:mod:`fieldbook.media_recognition`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence

from . import values
from .media_source import check_name, existing_file, mime_of, read_all, source_of
from .redaction import redact_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    class Content(NamedTuple):
        """What a record says of an object: exactly one of ``text``, ``data`` and ``file``."""

        kind: str
        meta: dict[str, Any]
        text: str | None = None
        data: Any = None
        file: bytes | str | None = None
        name: str = ""
        mime: str | None = None

else:
    from collections import namedtuple

    Content = namedtuple("Content", "kind meta text data file name mime", defaults=(None, None, None, "", None))


#: Bytes of JSON of a table or histogram that travels inside its record.
DATA_LIMIT = 64 * 1024
#: Bytes of a text inside its record; a longer one becomes a file.
TEXT_LIMIT = 64 * 1024
META_LIMIT = 16 * 1024
CAPTION_LIMIT = 4096
BINS_LIMIT = 1024
#: Rows of a table; more is a data set.
ROWS_LIMIT = 200_000


def check_meta(meta: Any, argument: str = "meta") -> dict[str, Any]:
    """What stands beside a file or object, as JSON: at most 16 kB."""
    if meta is None:
        return {}
    members = values.members_of(meta)
    if members is None:
        raise TypeError(f"{argument} must be a mapping, not {type(meta).__name__}")
    result = {str(key): cell(value) for key, value in members.items()}
    size = len(json.dumps(result, ensure_ascii=False).encode("utf-8", "replace"))
    if size > META_LIMIT:
        raise ValueError(f"{argument} has {size} bytes of JSON; at most {META_LIMIT} stand beside a file")
    return result


def cell(value: Any) -> Any:
    """A value as JSON; what JSON cannot say as docs/formats/journal.md has it under ATTRS."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind in (str, int, float):
        return values.encode_attribute("", value)
    if isinstance(value, Mapping):
        return {str(key): cell(item) for key, item in value.items()}
    if values.is_sequence(value):
        return [cell(item) for item in value]
    return values.encode_attribute("", value)


class Media:
    """The common part: a caption, and whatever else stands beside the object."""

    kind = ""
    #: How a run knows one without importing this module.
    _fieldbook_media = True

    def __init__(self, caption: str | None, meta: Mapping[str, Any] | None) -> None:
        self.meta = check_meta(meta)
        if caption is not None:
            self.meta["caption"] = values.check_text(caption, "caption", CAPTION_LIMIT)

    def content(self) -> Content:
        """The object's bytes and what is said about them. Raises ``ValueError`` for what is too large."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<fieldbook {type(self).__name__.lower()} {self.meta}>"


class Text(Media):
    """A text: a prompt, an answer, a log line. Any length.

    ``run["sample/answer"].append("…")`` is the same without a caption.
    """

    kind = "text"

    def __init__(self, text: str, caption: str | None = None, meta: Mapping[str, Any] | None = None) -> None:
        super().__init__(caption, meta)
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {type(text).__name__}")
        self.text = redact_text(text)

    def content(self) -> Content:
        encoded = self.text.encode("utf-8", "replace")
        if len(encoded) <= TEXT_LIMIT:
            return Content("text", self.meta, text=encoded.decode())
        # Longer than a record should be: the same text as a file of the series.
        return Content("file", self.meta, file=encoded, name="text.txt", mime="text/plain; charset=utf-8")


class Html(Media):
    """A page or a piece of one: a text, the path of a file, or something that has ``read()``."""

    kind = "html"

    def __init__(self, html: Any, caption: str | None = None, meta: Mapping[str, Any] | None = None) -> None:
        super().__init__(caption, meta)
        if isinstance(html, os.PathLike):
            self._html: Any = existing_file(html, "html")
        elif isinstance(html, str):
            self._html = html.encode("utf-8", "replace")
        elif hasattr(html, "read"):
            self._html = read_all(html, "html")
        else:
            raise TypeError(f"html must be a string, a pathlib.Path or an open file, not {type(html).__name__}")

    def content(self) -> Content:
        return Content("html", self.meta, file=self._html, name="page.html", mime="text/html; charset=utf-8")


class File(Media):
    """Any file of a step: a path, bytes, or something that has ``read()``."""

    kind = "file"
    _argument = "file"

    def __init__(
        self,
        file: Any,
        name: str | None = None,
        mime: str | None = None,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(caption, meta)
        self._file, own = source_of(file, self._argument)
        self.name = check_name(name) if name is not None else own or self.kind
        self.mime = values.check_text(mime, "mime", 200) if mime is not None else mime_of(self.name)

    def content(self) -> Content:
        return Content(self.kind, self.meta, file=self._file, name=self.name, mime=self.mime)


class Histogram(Media):
    """How values are distributed: from the values, or counted already.

    ``Histogram(weights)`` counts into 64 bins between the smallest and the largest; ``Histogram(counts=…, edges=…)`` takes
    what ``numpy.histogram`` returned, ``edges`` one longer than ``counts``. NaN and infinities are counted apart.
    """

    kind = "histogram"

    def __init__(
        self,
        data: Any = None,
        bins: int = 64,
        *,
        counts: Iterable[float] | None = None,
        edges: Iterable[float] | None = None,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(caption, meta)
        if (data is None) == (counts is None) or (counts is None) != (edges is None):
            raise TypeError("a histogram needs either data, or counts and edges")
        if isinstance(bins, bool) or not isinstance(bins, int):
            raise TypeError(f"bins must be an integer, not {type(bins).__name__}")
        if not 1 <= bins <= BINS_LIMIT:
            raise ValueError(f"bins must be from 1 to {BINS_LIMIT}, not {bins}")
        if counts is not None and edges is not None:
            self.counts, self.edges = _numbers(counts, "counts"), _numbers(edges, "edges")
            self._check()
        else:
            self._count(data, bins)

    def _check(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"edges must have one more than the {len(self.counts)} counts, not {len(self.edges)}")
        if not 1 <= len(self.counts) <= BINS_LIMIT:
            raise ValueError(f"counts must have from 1 to {BINS_LIMIT} numbers, not {len(self.counts)}")
        if not all(map(math.isfinite, self.edges)) or any(a >= b for a, b in zip(self.edges, self.edges[1:])):
            raise ValueError("edges must be finite and rising")
        if not all(math.isfinite(count) and count >= 0 for count in self.counts):
            raise ValueError("counts must be finite and not negative")

    def _count(self, data: Any, bins: int) -> None:
        from .media_array import histogram_of

        self.edges, self.counts, left_out = histogram_of(data, bins)
        if left_out:
            self.meta["nonfinite"] = left_out

    def content(self) -> Content:
        return Content("histogram", self.meta, data={"edges": self.edges, "counts": self.counts})


class Table(Media):
    """Rows under columns: ``Table(columns=["id", "label"], rows=[[1, "cat"]])``, a list of dicts, or a data frame.

    Cells may be numbers, texts, truth values, times and None; anything else is kept as text.
    """

    kind = "table"

    def __init__(
        self,
        data: Any = None,
        *,
        columns: Sequence[str] | None = None,
        rows: Iterable[Sequence[Any]] | None = None,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(caption, meta)
        if data is not None and rows is not None:
            raise TypeError("a table needs either data or rows, not both")
        from .media_table import table_of

        self.columns, self.rows = table_of(data if rows is None else rows, columns)

    def add_row(self, *cells: Any) -> None:
        """One more row: as many cells as there are columns."""
        if len(cells) != len(self.columns):
            raise ValueError(f"cells must be {len(self.columns)}, one for each column, not {len(cells)}")
        self.rows.append([cell(value) for value in cells])

    def content(self) -> Content:
        if len(self.rows) > ROWS_LIMIT:
            raise ValueError(f"the table has {len(self.rows)} rows, a series holds tables of at most {ROWS_LIMIT}")
        data = {"columns": self.columns, "rows": self.rows}
        encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        about = {**self.meta, "rows": len(self.rows)}
        if len(encoded) <= DATA_LIMIT:
            return Content("table", about, data=data)
        return Content("table", about, file=encoded, name="table.json", mime="application/json")


class Image(Media):
    """A picture: an array H×W or H×W×C, a tensor C×H×W, a PIL image, a matplotlib figure, a path or encoded bytes.

    Integers are 0…255, 16-bit ones 0…65535, truth values black and white. Floats are 0…1, or 0…255 when some are above 1;
    with negative ones the picture is stretched from its smallest to its largest value. Kept as PNG, or as the file it is.
    """

    kind = "image"

    def __init__(self, image: Any, caption: str | None = None, meta: Mapping[str, Any] | None = None) -> None:
        super().__init__(caption, meta)
        from .media_image import image_of

        self._encode = image_of(image)

    def content(self) -> Content:
        data, name, mime, about = self._encode()
        return Content("image", {**about, **self.meta}, file=data, name=name, mime=mime)


class Figure(Media):
    """A chart of matplotlib, plotly or Altair.

    matplotlib's becomes a PNG, without touching pyplot's state. plotly's and Altair's are kept as the JSON that draws them
    again, and as a page under ``<path>/html``. plotly's loads the library from the file beside it, which the run keeps once
    under ``libraries``, else from the network; Altair's only from there.
    """

    kind = "figure"

    def __init__(self, figure: Any, caption: str | None = None, meta: Mapping[str, Any] | None = None) -> None:
        super().__init__(caption, meta)
        from .media_figure import figure_of, library_of

        self._encode, self._page = figure_of(figure)
        #: Name and path of what the page draws with, to be kept once in the run.
        self.library = library_of(figure) if self._page is not None else None

    def content(self) -> Content:
        data, name, mime, about = self._encode()
        return Content("figure", {**about, **self.meta}, file=data, name=name, mime=mime)

    def page(self) -> Html | None:
        """The same chart as a page, of libraries that draw in a browser."""
        if self._page is None:
            return None
        from .media_figure import LIBRARIES

        needs = {"needs": [f"{LIBRARIES}/{self.library[0]}"]} if self.library is not None else {}
        return Html(self._page(), meta=needs)


class Audio(Media):
    """Sound: samples in −1…1 (or 16-bit integers), one row per moment and one column per channel, with ``rate``; or a file."""

    kind = "audio"

    def __init__(
        self,
        audio: Any,
        rate: int | None = None,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(caption, meta)
        from .media_sound import audio_of

        self._encode = audio_of(audio, rate)

    def content(self) -> Content:
        data, name, mime, about = self._encode()
        return Content("audio", {**about, **self.meta}, file=data, name=name, mime=mime)


class Video(Media):
    """Moving pictures: frames T×H×W×C with ``fps`` (kept as animated PNG), or a file in any format of the web."""

    kind = "video"

    def __init__(
        self,
        video: Any,
        fps: float = 4,
        caption: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(caption, meta)
        from .media_image import video_of

        self._encode = video_of(video, fps)

    def content(self) -> Content:
        data, name, mime, about = self._encode()
        return Content("video", {**about, **self.meta}, file=data, name=name, mime=mime)


def _numbers(given: Any, argument: str) -> list[float]:
    listed = given.tolist() if hasattr(given, "tolist") else given
    try:
        return [float(number) for number in listed]
    except (TypeError, ValueError):
        raise TypeError(f"{argument} must be a list of numbers, not {type(given).__name__}") from None
