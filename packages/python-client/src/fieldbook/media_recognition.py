"""Plain values as what they are: ``run.log({"chart": figure, "sample": array})`` needs no wrapping."""

from __future__ import annotations

from . import media, values
from .media_array import is_array
from .media_figure import is_figure
from .media_image import is_pil
from .media_table import is_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def recognise(value: Any, argument: str) -> media.Media | None:
    """The object that a value is; None for what no series of objects holds. Raises ``TypeError`` for wrong shapes."""
    if isinstance(value, media.Media):
        return value
    if isinstance(value, str):
        return media.Text(value)
    if values.is_number(value):
        return None
    if is_frame(value):
        return media.Table(value)
    if is_figure(value):
        return media.Figure(value)
    if is_pil(value):
        return media.Image(value)
    if is_array(value):
        shape = tuple(value.shape)
        if len(shape) == 1:
            raise TypeError(
                f"{argument} must be one number, not an array of shape {shape}; write fieldbook.Histogram(values) to keep "
                "how it is distributed"
            )
        try:
            return media.Image(value)
        except TypeError as error:
            raise TypeError(f"{argument}: {error}") from None
    return None
