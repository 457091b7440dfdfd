"""For scripts written for wandb: change one import.

    import fieldbook.wandb as wandb

    run = wandb.init(project="mnist", config={"lr": 1e-3})
    wandb.log({"loss": 0.3, "sample": wandb.Image(array)})
    wandb.summary["best"] = 0.9
    wandb.finish()

Everything is recorded as by :mod:`fieldbook` itself: on this machine, without an account. ``config`` becomes attributes
under ``params``, ``summary`` under ``summary``, artifacts files under ``artifacts``, saved files under ``files``. What wandb
has and this has not says so once and does nothing.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Mapping, Sequence

from .. import environment
from .. import init as _init
from ..console import warn, warn_once
from ..version import VERSION as __version__
from .artifact import Artifact
from .missing import Error, Namespace, Nothing, unsupported
from .session import Run
from .settings import Config, Summary, parsed
from .values import Audio, Histogram, Html, Image, Plotly, Table, Video

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    run: Run | None
    config: Config
    summary: Summary

__all__ = [
    "AlertLevel",
    "Artifact",
    "Audio",
    "Config",
    "Error",
    "Histogram",
    "Html",
    "Image",
    "Plotly",
    "Run",
    "Settings",
    "Summary",
    "Table",
    "Video",
    "__version__",
    "agent",
    "alert",
    "define_metric",
    "finish",
    "init",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "require",
    "save",
    "setup",
    "sweep",
    "teardown",
    "termerror",
    "termlog",
    "termwarn",
    "unwatch",
    "use_artifact",
    "watch",
]

_current: Run | None = None


class Settings:
    """Takes every setting of wandb and does nothing with it but keep it."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)


class AlertLevel:
    """Levels of ``alert``."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: Any = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | str | None = None,
    config: Any = None,
    config_exclude_keys: Sequence[str] | None = None,
    config_include_keys: Sequence[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: Any = None,
    resume: Any = None,
    settings: Any = None,
    **others: Any,
) -> Run:
    """Starts a run, with wandb's arguments and its ``WANDB_…`` variables.

    While a run is open, another call returns it, as wandb's does; ``reinit=True`` or ``"finish_previous"`` ends it first,
    ``"create_new"`` leaves it open. ``resume`` with an ``id`` goes on counting steps where this machine knows them.
    """
    global _current
    if _current is not None and reinit != "create_new":
        if reinit not in (True, "finish_previous"):
            _current.config.update(parsed(config))
            return _current
        _current.finish()
    for argument, value in others.items():
        if value:
            unsupported(f"init({argument}=)")
    said = environment_of(os.environ)
    mode = mode or said.get("mode")
    project = project or said.get("project") or "uncategorized"
    id = id or said.get("id")
    found = {
        key: value
        for key, value in parsed(config).items()
        if key not in (config_exclude_keys or ()) and (not config_include_keys or key in config_include_keys)
    }
    about: dict[str, Any] = {
        "project": project,
        "entity": entity or said.get("entity"),
        "name": name or said.get("name"),
        "notes": notes or said.get("notes"),
        "tags": [tags] if isinstance(tags, str) else list(tags or said.get("tags") or []),
        "group": group or said.get("group"),
        "job_type": job_type or said.get("job_type"),
        "resumed": bool(resume),
    }
    goes_on = id is not None and resume in (True, "allow", "must", "auto")
    recorded = _init(
        _project_of(project),
        about["name"],
        run_id=None if id is None else _id_of(id),
        tags=[tag.strip()[:128] for tag in about["tags"] if tag.strip()],
        group=about["group"],
        notes=about["notes"],
        mode="disabled" if mode == "disabled" else None,
        resume=goes_on,
    )
    result = Run(recorded, about, mode or "offline")
    if goes_on and recorded._writer._steps:
        result._step = int(max(recorded._writer._steps)) + 1
    result.set_attributes({f"wandb/{key}": about[key] for key in ("entity", "job_type") if about[key]})
    result.config.update(found)
    if _current is None or reinit != "create_new":
        _current = result
    # Before the run itself ends with the process, because what is registered last is called first.
    atexit.register(result._last_files)
    return result


def environment_of(variables: Mapping[str, str]) -> dict[str, Any]:
    """What wandb's environment variables say."""
    names = {
        "mode": "WANDB_MODE",
        "project": "WANDB_PROJECT",
        "entity": "WANDB_ENTITY",
        "name": "WANDB_NAME",
        "notes": "WANDB_NOTES",
        "group": "WANDB_RUN_GROUP",
        "job_type": "WANDB_JOB_TYPE",
        "id": "WANDB_RUN_ID",
    }
    found: dict[str, Any] = {key: variables[name] for key, name in names.items() if variables.get(name)}
    if variables.get("WANDB_TAGS"):
        found["tags"] = variables["WANDB_TAGS"].split(",")
    if variables.get("WANDB_DISABLED", "").lower() in ("true", "1"):
        found["mode"] = "disabled"
    return found


def _project_of(project: str) -> str:
    try:
        environment.project_id(project)
        return project
    except ValueError:
        return "uncategorized"


def _id_of(id: str) -> str:
    """wandb's ids may hold what a file's name may not."""
    clean = re.sub(r"[^A-Za-z0-9._-]", "-", str(id)).lstrip("._-")[:64]
    if clean != id:
        warn_once("wandb id", f"the id {id!r} is recorded as {clean!r}.")
    return clean or environment.mint_id()


def current(name: str) -> Run:
    """The run that is open. Raises :class:`Error` as wandb does when there is none."""
    if _current is None:
        raise Error(f"You must call wandb.init() before wandb.{name}()")
    return _current


def ended(run: Run) -> None:
    """A run has finished."""
    global _current
    if _current is run:
        _current = None


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **options: Any) -> None:
    """:meth:`Run.log` of the run that is open."""
    current("log").log(data, step=step, commit=commit, **options)


def finish(exit_code: int | None = None, **options: Any) -> None:
    """Ends the run that is open, if one is."""
    if _current is not None:
        _current.finish(exit_code)


def save(*arguments: Any, **options: Any) -> list[str]:
    """:meth:`Run.save` of the run that is open."""
    return current("save").save(*arguments, **options)


def log_artifact(*arguments: Any, **options: Any) -> Artifact:
    """:meth:`Run.log_artifact` of the run that is open."""
    return current("log_artifact").log_artifact(*arguments, **options)


def use_artifact(*arguments: Any, **options: Any) -> Artifact:
    """:meth:`Run.use_artifact` of the run that is open."""
    return current("use_artifact").use_artifact(*arguments, **options)


def log_model(*arguments: Any, **options: Any) -> None:
    """:meth:`Run.log_model` of the run that is open."""
    current("log_model").log_model(*arguments, **options)


def define_metric(*arguments: Any, **options: Any) -> Nothing:
    """:meth:`Run.define_metric` of the run that is open."""
    return current("define_metric").define_metric(*arguments, **options)


def alert(*arguments: Any, **options: Any) -> None:
    """:meth:`Run.alert` of the run that is open."""
    current("alert").alert(*arguments, **options)


def watch(*arguments: Any, **options: Any) -> None:
    """:meth:`Run.watch` of the run that is open."""
    current("watch").watch(*arguments, **options)


def unwatch(*arguments: Any, **options: Any) -> None:
    """Nothing was watched."""


def login(*arguments: Any, **options: Any) -> bool:
    """No account is needed."""
    return True


def setup(*arguments: Any, **options: Any) -> Nothing:
    """Nothing has to be set up."""
    return Nothing("setup()")


def teardown(exit_code: int | None = None) -> None:
    """Ends the run that is open."""
    finish(exit_code)


def require(*arguments: Any, **options: Any) -> None:
    """Nothing is optional."""


def sweep(*arguments: Any, **options: Any) -> str:
    """There are no sweeps: a loop of runs with ``init(group=…)`` or ``fieldbook.Run.child`` makes one."""
    unsupported("sweep", "start the runs in a loop, with a group")
    return "no-sweep"


def agent(*arguments: Any, **options: Any) -> None:
    """There are no sweeps."""
    unsupported("agent", "call the function in a loop")


def termlog(string: str = "", **options: Any) -> None:
    """Prints to the terminal."""
    warn(str(string))


termwarn = termerror = termlog


class _BeforeInit:
    """``wandb.config`` and ``wandb.summary`` while no run is open."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def _refuse(self, *_: Any) -> Any:
        raise Error(f"You must call wandb.init() before wandb.{self.__dict__['_name']}")

    __getitem__ = __setitem__ = __setattr__ = __iter__ = __contains__ = _refuse

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return self._refuse()


def __getattr__(name: str) -> Any:
    if name == "run":
        return _current
    if name == "plot_table":
        from .plot import plot_table

        return plot_table
    if name in ("data_types", "errors", "plot", "util"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name in ("sdk", "wandb_run"):  # wandb.sdk.wandb_run.Run, in annotations and isinstance
        return Namespace(name, wandb_run=Namespace("wandb_run", Run=Run), Run=Run)
    if name in ("config", "summary"):
        return getattr(_current, name) if _current is not None else _BeforeInit(name)
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Nothing(name)
