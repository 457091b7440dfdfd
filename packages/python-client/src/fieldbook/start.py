"""``init``: starts a run, or joins one."""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import environment, values
from .attributes import check_config
from .run import Run, capturing
from .tags import check_tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def init(
    project: str,
    name: str | None = None,
    run_id: str | None = None,
    tags: Iterable[str] | None = None,
    config: Any = None,
    group: str | None = None,
    notes: str | None = None,
    *,
    home: str | os.PathLike[str] | None = None,
    mode: str | None = None,
    all_ranks: bool = False,
    capture: Any = None,
    parent: Run | str | None = None,
    resume: bool = False,
) -> Run:
    """Starts a run, or joins one.

    ``project`` groups runs; names that differ in case or spaces are the same project. ``run_id`` chooses the run's id:
    the same id in another process or on another machine is the same run, whether it still runs or has ended; nobody is
    asked. Without it a process that was started by a run's process, or by a launcher of several ranks (torchrun, srun,
    mpirun), joins its run; any other gets a fresh id. ``config`` (a mapping, namespace or dataclass) becomes the
    attributes under ``params``.

    ``resume=True``, with a ``run_id``, goes on counting where the run's journals on this machine leave off, for points
    logged without a step. What they do not say (another machine, journals that the agent has cleared away and no agent to
    ask) begins at 0 again, with a warning.

    ``parent``, a run or its id, makes this a run of its own that belongs to another one: a fold, a trial of a sweep.

    ``home`` is where journals go (default ``$FIELDBOOK_HOME``, then ``~/.fieldbook``). ``mode="disabled"`` records
    nothing. Of the ranks of one launch, rank 0 records metrics and attributes and the others their start, end and
    errors, unless ``all_ranks``. ``capture`` says what is recorded without being asked: True, False, a list of what to
    record, or a mapping of switches (``{"console": False}``); by default everything.
    """
    project_id = environment.project_id(project)
    if run_id is not None:
        environment.check_run_id(run_id)
    if name is not None:
        values.check_text(name, "name", values.NAME_LIMIT)
    if group is not None:
        values.check_text(group, "group", values.NAME_LIMIT)
    if notes is not None:
        values.check_text(notes, "notes", values.NOTES_LIMIT)
    if mode not in (None, "disabled", "journal"):
        raise ValueError(f"mode must be 'journal' or 'disabled', not {mode!r}")
    if resume and run_id is None:
        raise ValueError("resume needs a run_id: which run goes on?")
    checked_tags = [] if tags is None else check_tags(tags, "tags")
    params = [] if config is None else check_config(config)
    above = _check_parent(parent)
    module = capturing()
    if capture is not None and module is not None:
        module.check(capture)

    process = environment.parent()
    inherited = None if above is not None else _inherited_run(project_id, process)
    if run_id is None and isinstance(parent, Run):
        run_id = parent._next_child()
    run = Run(
        project=project,
        project_id=project_id,
        run_id=run_id or inherited or _fresh_id(project_id, above),
        about={"name": name, "group": group, "notes": notes, "tags": checked_tags},
        home=os.path.abspath(os.fspath(home)) if home is not None else environment.home(),
        parent={"writer": process[1], "pid": process[0]} if process and inherited else None,
        disabled=mode == "disabled" or (mode is None and environment.disabled()),
        all_ranks=all_ranks,
    )
    run._begin(params, capture, above, resume)
    return run


def _fresh_id(project_id: str, above: str | None) -> str:
    shared = environment.shared_run_id(project_id) if above is None else None
    return shared or environment.mint_id()


def _check_parent(parent: Any) -> str | None:
    if parent is None:
        return None
    if isinstance(parent, Run):
        return parent.id
    if not isinstance(parent, str):
        raise TypeError(f"parent must be a run or its id, not {type(parent).__name__}")
    return environment.check_run_id(parent, "parent")


def _inherited_run(project_id: str, parent: tuple[int, str, str] | None) -> str | None:
    """The run that the environment says to join, unless it is this process's own earlier one or another project's."""
    run_id = os.environ.get(environment.RUN_ID)
    if not run_id or (parent is not None and (parent[0] == os.getpid() or parent[2] != project_id)):
        return None
    return environment.check_run_id(run_id, environment.RUN_ID)
