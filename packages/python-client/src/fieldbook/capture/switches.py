"""What is captured without being asked, and how each part is switched off. One place for all of it.

Three places are asked, later ones hold: ``"capture"`` in ``$FIELDBOOK_HOME/config.json``, ``init(capture=…)``, and
``FIELDBOOK_CAPTURE``. Whoever starts a program has the last word over whoever wrote it. Each may be

* a boolean: everything, or nothing (in the variable ``1`` and ``0``);
* names, ``"code,console"``: only these; ``"-console,-packages"``: all but these; ``interval=30`` and ``exit_wait=0`` among them;
* a mapping, ``{"console": False, "interval": 30}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

from ..console import warn_once
from ..environment import CAPTURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Every switch and what it stands for. ``docs/capture.md`` has the same table.
SWITCHES: Mapping[str, str] = {
    "command": "the command line, the working directory and the entry point",
    "code": "the commit, branch, remotes and state of the git checkout; off, it takes the next three along",
    "diff": "the difference of the working tree to HEAD",
    "untracked": "source files that git does not know yet",
    "snapshot": "the entry point and imported local modules, when git does not have them as they are",
    "notebook": "the executed cells and the notebook's file",
    "params": "values of argparse, click, absl and Hydra when they are parsed",
    "config": "YAML, JSON and TOML files named on the command line",
    "environment": "Python, machine, container, launcher, and files such as Dockerfile, pyproject.toml and locks",
    "packages": "installed Python packages with versions, and the conda environment",
    "variables": "environment variables, by allow-list",
    "gpus": "GPUs with driver and CUDA, and their load among the system metrics",
    "system": "load of the process tree and the machine over time",
    "console": "what Python prints to stdout and stderr",
}
#: Off with the switch they hang on.
_UNDER = {"diff": "code", "untracked": "code", "snapshot": "code"}
#: Parts that need the companion process.
SLOW = frozenset(SWITCHES) - {"command", "params", "console", "notebook"}
_YES = frozenset(("1", "on", "true", "yes", "all"))
_NO = frozenset(("0", "off", "false", "no", "none"))
#: Seconds between samples of the system. A tenth of a second is a benchmark, a day is never.
INTERVAL_S = 10.0
INTERVALS_S = (0.1, 86_400.0)
#: Seconds that the exit of a process waits at most for captures under way, where everything ends with it.
EXIT_WAIT_S = 2.0
EXIT_WAITS_S = (0.0, 600.0)


class Switches:
    """The parts that are on; ``"code" in switches``."""

    __slots__ = ("exit_wait", "interval", "on")

    def __init__(
        self, on: Iterable[str] = SWITCHES, interval: float = INTERVAL_S, exit_wait: float = EXIT_WAIT_S
    ) -> None:
        self.on = frozenset(name for name in on if name in SWITCHES)
        self.interval = interval
        self.exit_wait = exit_wait

    def __contains__(self, name: str) -> bool:
        return name in self.on and _UNDER.get(name, name) in self.on

    def __bool__(self) -> bool:
        return bool(self.on)

    def __repr__(self) -> str:
        return f"Switches({sorted(self.on)}, interval={self.interval}, exit_wait={self.exit_wait})"

    @property
    def slow(self) -> bool:
        """True when something is on for which a companion process is started."""
        return bool(self.on & SLOW)

    def only(self, *names: str) -> Switches:
        """Of the parts that are on, these."""
        return self._with(self.on & set(names))

    def without(self, names: Iterable[str]) -> Switches:
        """All that are on but these."""
        return self._with(self.on - set(names))

    def _with(self, on: Iterable[str]) -> Switches:
        return Switches(on, self.interval, self.exit_wait)

    def to_json(self) -> dict[str, Any]:
        """What another process is told."""
        return {"on": sorted(self.on), "interval": self.interval}


NOTHING = Switches(())


def resolve(given: Any = None, home: str | None = None, environ: Mapping[str, str] = os.environ) -> Switches:
    """The switches of a run. Raises ``TypeError`` or ``ValueError`` for what was ``given`` wrongly to ``init``;
    mistakes in the environment and in ``config.json`` are told once and left out."""
    switches = Switches()
    said = _configured(home) if home else None
    if said is not None:
        switches = _leniently(switches, said, '"capture" in config.json')
    if given is not None:
        switches = _apply(switches, given, "capture")
    text = environ.get(CAPTURE)
    if text:
        switches = _leniently(switches, text, CAPTURE)
    return switches


def switched_off(environ: Mapping[str, str] = os.environ) -> bool:
    """True when the environment alone switches everything off, whatever else is said."""
    return environ.get(CAPTURE, "").strip().lower() in _NO


def _configured(home: str) -> Any:
    try:
        with open(os.path.join(home, "config.json"), "rb") as file:
            said = json.loads(file.read(1 << 20))
    except (OSError, ValueError):
        return None  # the agent complains of a broken file; a training does not
    return said.get("capture") if isinstance(said, dict) else None


def _leniently(switches: Switches, said: Any, source: str) -> Switches:
    try:
        return _apply(switches, said, source)
    except (TypeError, ValueError) as error:
        warn_once(f"capture {source}", f"{error}; it is left out.")
        return switches


def _apply(switches: Switches, said: Any, source: str) -> Switches:
    if isinstance(said, Switches):
        return said
    if isinstance(said, bool):
        return switches._with(SWITCHES if said else ())
    if isinstance(said, Mapping):
        on, numbers = set(switches.on), {}
        for name, value in said.items():
            if name in _NUMBERS:
                numbers[name] = _number(name, value, source)
            elif _known(name, source):
                if not isinstance(value, bool):
                    raise TypeError(f"{source}[{name!r}] must be True or False, not {type(value).__name__}")
                (on.add if value else on.discard)(name)
        return _numbered(switches._with(on), numbers)
    if isinstance(said, str):
        said = said.split(",")
    if not isinstance(said, Iterable):
        raise TypeError(f"{source} must be True, False, names or a mapping, not {type(said).__name__}")
    return _named(switches, [str(word).strip() for word in said], source)


def _named(switches: Switches, words: list[str], source: str) -> Switches:
    words = [word for word in words if word]
    if len(words) == 1 and words[0].lower() in _YES | _NO:
        return switches._with(SWITCHES if words[0].lower() in _YES else ())
    numbers: dict[str, float] = {}
    names: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in _NUMBERS:
            numbers[key] = _number(key, value, source)
        elif _known(word.lstrip("+-"), source):
            names.append(word)
    plain = {name for name in names if name[0] not in "+-"}
    on = plain if plain else set(switches.on)
    on |= {name[1:] for name in names if name[0] == "+"}
    on -= {name[1:] for name in names if name[0] == "-"}
    return _numbered(switches._with(on), numbers)


def _known(name: Any, source: str) -> bool:
    if name in SWITCHES:
        return True
    raise ValueError(f"{source} names {str(name)[:40]!r}, which is not one of {', '.join([*SWITCHES, *_NUMBERS])}")


#: What takes a number of seconds, and within which bounds.
_NUMBERS: Mapping[str, tuple[float, float]] = {"interval": INTERVALS_S, "exit_wait": EXIT_WAITS_S}


def _numbered(switches: Switches, numbers: Mapping[str, float]) -> Switches:
    return Switches(
        switches.on, numbers.get("interval", switches.interval), numbers.get("exit_wait", switches.exit_wait)
    )


def _number(name: str, value: Any, source: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{source}: {name} must be seconds, not {value!r}") from None
    least, most = _NUMBERS[name]
    if not least <= seconds <= most:
        raise ValueError(f"{source}: {name} must be {least:g} to {most:.0f} seconds, not {seconds}")
    return seconds
