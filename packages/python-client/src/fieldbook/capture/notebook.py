"""The cells that a notebook's kernel has executed, as a script that can be compared with another run's.

This side runs in the kernel and asks IPython; the notebook's file is found by :mod:`.jupyter` in the companion.
"""

from __future__ import annotations

import os
import re
import sys
from time import monotonic

from ..redaction import redact_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..run import Run

#: The script is written again after a cell when so long has passed; and at the end.
EVERY_S = 30.0
CELLS = 10_000
_MAGIC = re.compile(r"^\s*(%|!|\?|.*\?\s*$)")


def shell() -> Any:
    """IPython's shell when this process is one, else None. Nothing is imported for that."""
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    return get() if get is not None else None


def script(cells: list[str]) -> str:
    """``# %% [n]`` and the cell, for every execution in order; magics and shell commands commented. ``cells[n]`` is execution n."""
    parts = []
    for number, cell in enumerate(cells):
        if number == 0 or not cell.strip():
            continue
        lines = cell.rstrip().split("\n")
        # All of a cell with a magic of two signs belongs to the magic.
        whole = lines[0].lstrip().startswith("%%")
        lines = [f"# {line}".rstrip() for line in lines] if whole else _commented(lines)
        parts.append(f"# %% [{number}]\n" + "\n".join(lines) + "\n")
    return "\n".join(parts[-CELLS:])


def _commented(lines: list[str]) -> list[str]:
    result = []
    goes_on = False
    for line in lines:
        if goes_on or (_MAGIC.match(line) and not line.lstrip().startswith(("#", '"', "'"))):
            goes_on = line.rstrip().endswith("\\")
            result.append(f"# {line}")
        else:
            result.append(line)
    return result


class Notebook:
    """The notebook of one run."""

    def __init__(self, run: Run, shell: Any) -> None:
        self._run = run
        self._shell = shell
        self._written = ""
        self._at = monotonic()

    def hints(self) -> dict[str, Any]:
        """What helps to find the file: see :func:`fieldbook.capture.jupyter.find`."""
        names = self._shell.user_ns
        path = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
        kernel = None
        config = getattr(self._shell, "config", {})
        file = config.get("IPKernelApp", {}).get("connection_file", "") if config else ""
        found = re.search(r"kernel-([0-9a-f-]{8,})\.json", str(file))
        if found:
            kernel = found[1]
        return {"path": path if isinstance(path, str) else None, "kernel": kernel, "cwd": os.getcwd()}

    def after_cell(self) -> bool:
        """Writes the script when it is due; True when it did."""
        if monotonic() - self._at < EVERY_S:
            return False
        self.write()
        return True

    def write(self) -> None:
        """Attaches the script as ``source/notebook.py`` when cells were executed since."""
        self._at = monotonic()
        history = getattr(self._shell, "history_manager", None)
        cells = list(getattr(history, "input_hist_raw", None) or self._shell.user_ns.get("In", []))
        text = script(cells)
        if text and text != self._written:
            self._written = text
            content, places = redact_source(text.encode("utf-8", "replace"))
            meta: dict[str, Any] = {"cells": sum(1 for cell in cells[1:] if cell.strip())}
            if places:
                meta["redacted"] = places
            self._run._attach("source/notebook.py", content, kind="notebook", mime="text/x-python", meta=meta)
