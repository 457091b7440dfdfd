"""Fieldbook: every machine keeps a complete field book of its own training runs.

    import fieldbook

    with fieldbook.init("mnist", config={"lr": 1e-3}) as run:
        run["data/train"] = "train.parquet"
        for step in range(100):
            run.log({"train/loss": 1 / (step + 1)}, step=step)

Nothing needs to be running: a call appends to a file under ``~/.fieldbook`` and returns. The agent finds it later.
"""

from __future__ import annotations

from . import capture
from .attribute import Attribute
from .run import Run
from .start import init
from .tags import Tags
from .version import VERSION as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .media import Audio, Figure, File, Histogram, Html, Image, Table, Text, Video
    from .read_view import ReadRun
    from .reader import ReadRuns

__all__ = [
    "Attribute",
    "Audio",
    "Figure",
    "File",
    "Histogram",
    "Html",
    "Image",
    "Run",
    "Table",
    "Tags",
    "Text",
    "Video",
    "__version__",
    "init",
    "run",
    "runs",
]

#: Where a name of this package is that a training may never ask for.
_LATER = dict.fromkeys(
    ("Audio", "Figure", "File", "Histogram", "Html", "Image", "Table", "Text", "Video"),
    "media",
)


def run(run: str, project: str | None = None, *, home: Any = None) -> ReadRun:  # the module of this name is `.run`
    """A run that was recorded, for reading: by id, the beginning of its id, or a name that only one run has."""
    from . import reader

    return reader.run(run, project, home=home)


def runs(project: str, query: str = "", *, home: Any = None) -> ReadRuns:
    """The runs of a project that a query finds, the newest first: ``fieldbook.runs("mnist", "val/loss < 0.2").to_pandas()``."""
    from . import reader

    return reader.runs(project, query, home=home)


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])


capture.install()
