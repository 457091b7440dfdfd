"""Reading back: ``fieldbook.runs("mnist", "val/loss < 0.2").to_pandas()``, ``fieldbook.run("my-run")["train/loss"].values()``.

Offline, from this machine: through the agent of the home when one runs, else straight from the journals. The answers are
the same for what this machine recorded; what people edited and other machines sent is known to the agent only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from . import environment
from .read_view import ReadRun, to_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union, overload

    from .read_agent import AgentSource
    from .read_disk import DiskSource

    Source = Union[AgentSource, DiskSource]


#: An agent that starts or stops between two calls is noticed at the next one.
_disks: dict[str, DiskSource] = {}


def runs(project: str, query: str = "", *, home: str | os.PathLike[str] | None = None) -> ReadRuns:
    """The runs of a project that match a query, the newest first.

    ``query`` is of the language in docs/query.md: ``"status:finished and params/lr < 0.01"``; a mistake in it raises
    ``ValueError`` with its place. Runs in the trash are left out unless it says ``trashed``.
    """
    import time

    from .query_syntax import parse

    wanted = environment.project_id(project)
    if not isinstance(query, str):
        raise TypeError(f"query must be a string, not {type(query).__name__}")
    parse(query)
    source = open_source(home)
    if wanted not in source.projects():
        known = ", ".join(source.projects()[:20]) or "none"
        raise ValueError(f"project: there is no project {project!r} in {source.home}; there are: {known}")
    zone = (time.localtime().tm_gmtoff or 0) // 60
    return ReadRuns(source, source.select(wanted, query, time.time() * 1000, zone))


def run(run: str, project: str | None = None, *, home: str | os.PathLike[str] | None = None) -> ReadRun:
    """One run, by its id, the beginning of its id (four characters or more), or a name that only one run has."""
    if not isinstance(run, str):
        raise TypeError(f"run must be an id or a name, not {type(run).__name__}")
    if not run:
        raise ValueError("run must not be empty: give an id or a name")
    source = open_source(home)
    found = source.find(run, None if project is None else environment.project_id(project))
    if not found:
        where = source.home if project is None else f"project {project!r}"
        raise ValueError(f"run: there is no run {run!r} in {where}")
    if len(found) > 1:
        listed = ", ".join(f"{state['id']} ({state['name']}, in {state['project']})" for state in found[:20])
        raise ValueError(f"run: {run!r} may be any of {listed}; give more of the id, or the project")
    return ReadRun(source, found[0])


def open_source(home: str | os.PathLike[str] | None) -> Source:
    """The agent of a home when one runs, else its journals."""
    from . import read_agent, read_disk

    root = environment.home() if home is None else os.path.abspath(os.path.expanduser(os.fspath(home)))
    agent = read_agent.connect(root)
    if agent is not None:
        return agent
    # Kept: a second question does not read again what has not changed.
    disk = _disks.setdefault(root, read_disk.DiskSource(root))
    disk.look_around()
    return disk


class ReadRuns(Sequence[ReadRun]):
    """Runs that were found, in order. What they hold is as it was when they were asked for."""

    def __init__(self, source: Source, states: list[dict[str, Any]]) -> None:
        self._source = source
        self._states = states

    @property
    def source(self) -> str:
        """``agent`` or ``disk``."""
        return self._source.kind

    def __len__(self) -> int:
        return len(self._states)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> ReadRun: ...
        @overload
        def __getitem__(self, index: slice) -> ReadRuns: ...

    def __getitem__(self, index: int | slice) -> ReadRun | ReadRuns:
        if isinstance(index, slice):
            return ReadRuns(self._source, self._states[index])
        return ReadRun(self._source, self._states[index])

    def __iter__(self) -> Iterator[ReadRun]:
        return (ReadRun(self._source, state) for state in self._states)

    def __repr__(self) -> str:
        return f"<fieldbook runs: {len(self)}, from {'the agent' if self.source == 'agent' else 'the journals'}>"

    def to_dicts(self, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """A flat dict for each run: its fields, attributes by path, and each metric's last value by path, with its least,
        greatest and number of points as ``path.min``, ``path.max`` and ``path.count``.

        ``columns`` chooses: ``["name", "params/lr", "val/loss.min"]``, named as in a query; None where a run has none.
        """
        return [ReadRun(self._source, state).to_dict(columns) for state in self._states]

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """The same as a data frame. Needs pandas."""
        return to_frame(self.to_dicts(columns))


# -- for the verbs of a run that is being written ---------------------------------------------------------------------


def download(home: str, project: str, run_id: str, path: str, destination: str) -> str:
    """A file of a run from this machine's field book, for a run that is being written. Raises ``FileNotFoundError``."""
    found = open_source(home).find(run_id, project)
    if not found:
        raise FileNotFoundError(f"no file lies under {path!r} of run {run_id} on this machine")
    return ReadRun(open_source(home), found[0])[path].download(destination)


def last_steps(home: str, project: str, run_id: str) -> Mapping[str, float] | None:
    """The highest step of each metric that a running agent knows of a run; None where none runs or knows it."""
    from . import read_agent

    agent = read_agent.connect(home)
    found = [] if agent is None else agent.find(run_id, project)
    if agent is None or not found:
        return None
    return {path: agent.highest_step(found[0], path) for path in found[0]["metrics"]}
