"""wandb's data types, made into Fieldbook's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence

from .. import media
from ..console import warn_once
from ..media_array import is_array, is_tensor, to_numpy
from ..media_recognition import recognise
from ..values import is_number, text_of
from .missing import Nothing, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Image(media.Image):
    """``wandb.Image``: a picture with a caption. A batch of pictures is put side by side."""

    def __init__(self, data_or_path: Any, mode: str | None = None, caption: str | None = None, **layers: Any) -> None:
        for name, value in layers.items():
            if value is not None and name in ("boxes", "masks", "classes", "grouping"):
                unsupported(f"Image({name}=)", "the picture itself is kept")
        if mode is not None and is_array(data_or_path):
            unsupported("Image(mode=)", "the shape of the array says what it is")
        super().__init__(_pictured(data_or_path), caption=None if caption is None else str(caption))


def _pictured(given: Any) -> Any:
    given = _figure_of_pyplot(given)
    if isinstance(given, media.Image):
        return given.content().file
    if is_array(given) and len(given.shape) == 4:
        import numpy

        frames = to_numpy(given, "data_or_path")
        if is_tensor(given):
            frames = frames.transpose(0, 2, 3, 1)
        return numpy.concatenate(list(frames), axis=1)
    return given


def _figure_of_pyplot(given: Any) -> Any:
    """The current figure, where the module itself was handed in."""
    return given.gcf() if getattr(given, "__name__", "") == "matplotlib.pyplot" else given


class Video(media.Video):
    """``wandb.Video``: frames T×C×H×W, or a file."""

    def __init__(
        self, data_or_path: Any, caption: str | None = None, fps: int | None = None, format: str | None = None
    ) -> None:
        del format  # an animated PNG, or the file as it is
        super().__init__(data_or_path, fps=fps or 4, caption=caption)


class Audio(media.Audio):
    """``wandb.Audio``: samples with a rate, or a file."""

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        super().__init__(data_or_path, rate=sample_rate, caption=caption)


class Html(media.Html):
    """``wandb.Html``: a page as text, or the path of one."""

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False) -> None:
        del inject
        if isinstance(data, str) and not data_is_not_path and len(data) < 4096 and os.path.isfile(data):
            from pathlib import Path

            data = Path(data)
        super().__init__(data)


class Histogram(media.Histogram):
    """``wandb.Histogram``: of values, or of what ``numpy.histogram`` returned."""

    def __init__(self, sequence: Any = None, np_histogram: tuple[Any, Any] | None = None, num_bins: int = 64) -> None:
        if np_histogram is not None:
            super().__init__(counts=np_histogram[0], edges=np_histogram[1])
        else:
            super().__init__(sequence, bins=num_bins)


class Plotly(media.Figure):
    """``wandb.Plotly``: a chart of plotly or matplotlib."""

    def __init__(self, val: Any) -> None:
        super().__init__(_figure_of_pyplot(val))


class Table(media.Table):
    """``wandb.Table``: rows under columns, added one by one or all at once."""

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        **options: Any,
    ) -> None:
        del options  # types are those of the cells
        given = dataframe if dataframe is not None else rows if data is None else data
        names = None if columns is None or dataframe is not None else [str(name) for name in columns]
        if given is None and names is None:
            names = ["Input", "Output", "Expected"]  # wandb's own default
        super().__init__(_plain(given), columns=names)

    def add_data(self, *data: Any) -> None:
        """One more row."""
        self.add_row(*[_cell(value) for value in data])

    def add_column(self, name: str, data: Iterable[Any]) -> None:
        """One more column, as long as the others."""
        cells = [media.cell(_cell(value)) for value in data]
        if self.columns and len(cells) != len(self.rows):
            raise ValueError(f"data must have {len(self.rows)} cells, one for each row, not {len(cells)}")
        if not self.columns:
            self.rows = [[] for _ in cells]
        self.columns.append(str(name))
        for row, value in zip(self.rows, cells):
            row.append(value)

    def get_column(self, name: str, convert_to: str | None = None) -> Any:
        """The cells of a column, as a list or with ``convert_to="numpy"`` as an array."""
        place = self.columns.index(name)
        cells = [row[place] for row in self.rows]
        if convert_to == "numpy":
            import numpy

            return numpy.array(cells)
        return cells

    def iterrows(self) -> Iterable[tuple[int, list[Any]]]:
        """Each row with its number."""
        return enumerate(self.rows)

    @property
    def data(self) -> list[list[Any]]:
        """The rows."""
        return self.rows


def _plain(given: Any) -> Any:
    if isinstance(given, (list, tuple)):
        return [[_cell(value) for value in row] if isinstance(row, (list, tuple)) else row for row in given]
    return given


def _cell(value: Any) -> Any:
    if isinstance(value, media.Media):
        unsupported("Table with media in its cells", "a cell says which kind of object it was")
        return f"[{value.kind}]"
    return value


#: What :func:`logged` says of a value that is not recorded.
SKIP: Any = object()


def logged(key: str, value: Any) -> Any:
    """A value of ``wandb.log`` as a value of ``run.log``; ``SKIP`` for what is not recorded."""
    if isinstance(value, Nothing):
        return SKIP
    if is_number(value) or isinstance(value, (str, media.Media)):
        return value
    if value is None:
        warn_once("wandb none", f"the value None, of {key!r} first, is not recorded.")
        return SKIP
    value = _figure_of_pyplot(value)
    if is_array(value) and len(value.shape) == 1:
        return media.Histogram(value) if value.shape[0] else SKIP
    if isinstance(value, (list, tuple)):
        return _logged_list(key, value)
    if is_array(value) and len(value.shape) == 4:
        return Image(value)
    try:
        found = recognise(value, key)
    except TypeError:  # an array of no picture's shape
        return media.Histogram(value)
    if found is not None:
        return found
    warn_once("wandb stringified", f"{key!r} is a {type(value).__name__}; what it prints is recorded as a text.")
    return text_of(value)


def _logged_list(key: str, value: Sequence[Any]) -> Any:
    objects = [
        recognise(item, key) if not is_number(item) and not isinstance(item, (str, list, tuple, dict)) else None
        for item in value
    ]
    if value and all(one is not None for one in objects):
        return objects
    return json.dumps(value, default=text_of, ensure_ascii=False)


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as paths, with names that a path can have."""
    result: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}/{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            result.update(flat(value, path))
        else:
            result[usable(path)] = value
    return result


def usable(path: str) -> str:
    """wandb takes any text as a name; a path has no empty parts, no control characters, and 512 bytes."""
    clean = "".join(c if c.isprintable() else "_" for c in path)
    clean = "/".join(part for part in clean.split("/") if part) or "_"
    clean = clean.encode("utf-8", "replace")[:512].decode("utf-8", "ignore").rstrip("/")
    if clean != path:
        warn_once(f"wandb name {clean}", f"the name {path[:80]!r} is recorded as {clean[:80]!r}.")
    return clean
