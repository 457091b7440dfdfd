"""Hyper-parameters that a program parsed, kept for the runs of this process: those that are open and those to come.

They go to ``params/<name>``, where what the script says itself holds. Which were given and which are defaults is in section
``command``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from .. import journal, redaction, values
from . import configs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..run import Run

#: JSON of one ATTRS record stays far below the record limit: so many values of at most 16 kB as text.
CHUNK = 50
NAMES = 1000
#: Characters of a command line: a section has at most 512 KiB, and a character up to six bytes of JSON.
ARGV = 48 * 1024


class Parsed:
    """What one parser said: the values, and the names of those that were given, where that is known."""

    __slots__ = ("about", "given", "values")

    def __init__(
        self, said: Mapping[str, Any], given: Iterable[str] | None, about: Mapping[str, Any] | None = None
    ) -> None:
        self.values = dict(said)
        self.given = None if given is None else frozenset(given)
        self.about = dict(about or {})


#: By parser: ``argparse``, ``click``, ``absl``, ``hydra``.
_parsed: dict[str, Parsed] = {}
_runs: list[tuple[Run, dict[str, Any]]] = []


def note(
    source: str, said: Mapping[str, Any], given: Iterable[str] | None = None, about: Mapping[str, Any] | None = None
) -> None:
    """A parser has parsed. A second parse of the same kind adds to the first; of Hydra it replaces it: it is another job."""
    parsed = Parsed(said, given, about)
    before = _parsed.get(source)
    if before is not None and source != "hydra":
        parsed.values = {**before.values, **parsed.values}
        if before.given is not None and parsed.given is not None:
            parsed.given |= before.given
    for name, value in said.items():
        if isinstance(value, str) and redaction.is_secret_name(name):
            redaction.learn(value)
    _parsed[source] = parsed
    for run, had in list(_runs):
        if source == "hydra" and had.get("hydra") not in (None, said):
            continue  # the next job of a sweep; this run belongs to an earlier one
        _apply(run, source, parsed, had)
        _tell(run)


def begin(run: Run) -> None:
    """What was parsed so far, and from now on what will be."""
    had: dict[str, Any] = {}
    _runs.append((run, had))
    for source, parsed in _parsed.items():
        _apply(run, source, parsed, had)
    _tell(run)


def end(run: Run) -> None:
    """The run takes nothing more."""
    _runs[:] = [pair for pair in _runs if pair[0] is not run]


def command(entry: str | None = None) -> dict[str, Any]:
    """Section ``command``: ``argv``, ``module`` (of ``python -m``), ``entry``, ``cwd``, and ``parsed``: by parser what was given and what
    is a default."""
    argv: list[str] = []
    left = ARGV
    for word in getattr(sys, "argv", []):
        argv.append(str(word)[:4096])
        left -= len(argv[-1]) + 8
        if left < 0:
            argv[-1] = "…"
            break
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(spec, "name", None)
    try:
        cwd: str | None = os.getcwd()
    except OSError:
        cwd = None
    data: dict[str, Any] = {
        "argv": redaction.redact_argv(argv),
        "entry": entry,
        "module": name[: -len(".__main__")] if name and name.endswith(".__main__") else name,
        "cwd": cwd,
        "interpreter_options": _options(),
    }
    parsed: dict[str, Any] = {}
    for source, one in _parsed.items():
        names = sorted(str(name) for name in one.values)[:NAMES]
        given = one.given
        parsed[source] = {
            **one.about,
            "given": None if given is None else [name for name in names if name in given],
            "defaults": None if given is None else [name for name in names if name not in given],
        }
    if parsed:
        data["parsed"] = parsed
    return data


def _options() -> list[str]:
    """``-u``, ``-O``, ``-X …``: how Python itself was started."""
    words = iter(getattr(sys, "orig_argv", [])[1:])
    found: list[str] = []
    for word in words:
        if not word.startswith("-") or word in ("-c", "-m", "-"):
            break
        found.append(word[:200])
        if word in ("-X", "-W", "--check-hash-based-pycs"):
            found.append(next(words, "")[:200])
    return redaction.redact_argv(found)


def _apply(run: Run, source: str, parsed: Parsed, had: dict[str, Any]) -> None:
    had[source] = parsed.values
    found, _ = configs.encode(values.flatten(parsed.values, "params", source), values.ATTRIBUTES_LIMIT)
    own = run._echo.values
    pairs = [(path, value) for path, value in found.items() if path not in own]
    for start in range(0, len(pairs), CHUNK):
        run._put(journal.ATTRS, {"set": dict(pairs[start : start + CHUNK]), "del": []})


def _tell(run: Run) -> None:
    from . import session

    session.tell_command(run)
