"""Charts of other libraries: matplotlib as PNG, plotly and Altair as the JSON that draws them and as a page."""

from __future__ import annotations

import io
from collections.abc import Callable

from .media_image import is_matplotlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .media_image import Encoded


def is_plotly(value: Any) -> bool:
    """A figure of plotly."""
    return all(callable(getattr(value, name, None)) for name in ("to_json", "to_html", "to_plotly_json"))


def is_altair(value: Any) -> bool:
    """A chart of Altair, which is a specification of Vega-Lite."""
    return hasattr(value, "to_json") and any(base.__module__.startswith("altair.") for base in type(value).__mro__)


def is_figure(value: Any) -> bool:
    """A chart of a library that is known here."""
    return is_matplotlib(value) or is_plotly(value) or is_altair(value)


def figure_of(figure: Any) -> tuple[Encoded, Callable[[], str] | None]:
    """How a chart becomes bytes, and how it becomes a page. Raises ``TypeError`` for what is none."""
    if is_matplotlib(figure):
        drawn = figure if hasattr(figure, "savefig") else figure.figure
        return lambda: _encode_matplotlib(drawn), None
    if is_plotly(figure):
        about = {"library": "plotly"}
        return (
            lambda: (figure.to_json().encode(), "figure.plotly.json", "application/vnd.plotly.v1+json", about),
            lambda: str(figure.to_html(include_plotlyjs="cdn", full_html=True)),
        )
    if is_altair(figure):
        return lambda: _encode_altair(figure), lambda: str(figure.to_html())
    raise TypeError(f"figure must be a chart of matplotlib, plotly or Altair, not {type(figure).__name__}")


def _encode_matplotlib(figure: Any) -> tuple[bytes, str, str, dict[str, Any]]:
    # The figure's own canvas draws: pyplot, its list of figures and its current one are not asked.
    out = io.BytesIO()
    while getattr(figure, "figure", figure) is not figure:  # a sub-figure
        figure = figure.figure
    figure.savefig(out, format="png")
    data = out.getvalue()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return data, "figure.png", "image/png", {"library": "matplotlib", "width": width, "height": height}


def _encode_altair(figure: Any) -> tuple[bytes, str, str, dict[str, Any]]:
    return figure.to_json().encode(), "figure.vl.json", "application/vnd.vegalite.v5+json", {"library": "altair"}
