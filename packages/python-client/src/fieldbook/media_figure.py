"""Charts of other libraries: matplotlib as PNG, plotly and Altair as the JSON that draws them and as a page."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from .media_image import is_matplotlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .media_image import Encoded
    from .run import Run

#: Where a run keeps the libraries that pages of it draw with: once, however many pages.
LIBRARIES = "libraries"


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
            lambda: _page_of_plotly(figure),
        )
    if is_altair(figure):
        return lambda: _encode_altair(figure), lambda: _noted(str(figure.to_html()), "vegaEmbed", "Vega", "")
    raise TypeError(f"figure must be a chart of matplotlib, plotly or Altair, not {type(figure).__name__}")


def library_of(figure: Any) -> tuple[str, str] | None:
    """Name and path of the library with which a chart's page draws, as the package brings it; None where it does not."""
    package = sys.modules.get("plotly")
    if not is_plotly(figure) or not getattr(package, "__file__", None):
        return None
    path = os.path.join(os.path.dirname(str(package.__file__)), "package_data", "plotly.min.js")  # type: ignore[union-attr]
    try:
        with open(path, "rb") as file:
            head = file.read(200).decode("utf-8", "replace")
    except OSError:
        return None
    version = head.partition("plotly.js v")[2].split()[:1]
    return (f"plotly-{version[0]}.min.js", path) if version else None


def keep_library(run: Run, library: tuple[str, str] | None) -> None:
    """Keeps a library with which pages of this run draw, unless this run has kept it."""
    if library is not None and library[0] not in run._libraries:
        run._libraries.add(library[0])
        name, path = library
        run._attach(f"{LIBRARIES}/{name}", path, name=name, mime="text/javascript")


def _page_of_plotly(figure: Any) -> str:
    """A page that loads plotly from the file beside it, else from its usual address, and says so where neither is to be had."""
    library = library_of(figure)
    if library is None:
        return _noted(str(figure.to_html(include_plotlyjs="cdn", full_html=True)), "Plotly", "plotly", "")
    name = library[0]
    page = str(figure.to_html(include_plotlyjs=name, full_html=True))
    begun, found, rest = page.partition(f'src="{name}"></script>')
    if not found:
        return page
    address = f"https://cdn.plot.ly/{name}"
    remote = f"<script>window.Plotly||document.write('<script src=\"{address}\"><\\/script>')</script>"
    return _noted(
        begun + found + remote + rest, "Plotly", "plotly", f" Put {LIBRARIES}/{name} of the run beside this page."
    )


def _noted(page: str, name: str, library: str, more: str) -> str:
    """A page that says why it is empty when its library could not be loaded."""
    text = f"This chart is drawn by {library}, which could not be loaded.{more} The run has the chart as JSON, too."
    note = f'<script>window.{name}||document.body.insertAdjacentHTML("afterbegin","<p>{text}</p>")</script>'
    begun, end, rest = page.rpartition("</body>")
    return begun + note + end + rest if end else page + note


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
