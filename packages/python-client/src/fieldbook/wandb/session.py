"""A run as wandb's scripts see it, recorded by a Fieldbook run."""

from __future__ import annotations

import glob as globs
import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType

from .. import journal, media
from ..console import warn, warn_once
from ..run import Run as Recorded
from .artifact import Artifact, of_path, used
from .missing import Error, Nothing, unsupported
from .settings import Config, Summary
from .values import SKIP, flat, logged, usable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Run:
    """Made by :func:`fieldbook.wandb.init`. ``fieldbook_run`` is the run that records."""

    def __init__(self, recorded: Recorded, about: Mapping[str, Any], mode: str) -> None:
        self.fieldbook_run = recorded
        self.config = Config(self._set_config)
        self.summary = Summary(self._set_summary)
        self._about = dict(about)
        self._mode = mode
        self._step = 0
        self._dir: str | None = None
        self._saved: dict[str, tuple[str, str]] = {}
        self._started = time.time()

    # -- points -----------------------------------------------------------------------------------------------------

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **_: Any) -> None:
        """Points at the run's current step, with wandb's rules for it.

        Without ``step`` a call closes the current step and the next one begins; with ``commit=False`` it stays open.
        ``step=N`` moves to that step and leaves it open, unless ``commit=True``. A step that has passed is recorded all
        the same, where wandb drops it.
        """
        if not isinstance(data, Mapping):
            raise TypeError("wandb.log must be passed a dictionary")
        if any(not isinstance(key, str) for key in data):
            raise TypeError("Key values passed to `wandb.log` must be strings.")
        if step is not None and step > self._step:
            self._step = int(step)
        at = self._step if step is None else step
        self._record(flat(data), at)
        if (step is None and commit is None) or commit:
            self._step += 1

    def _record(self, data: Mapping[str, Any], step: float) -> None:
        ready = {}
        for key, value in data.items():
            try:
                found = logged(key, value)
            except (TypeError, ValueError) as error:
                warn_once(f"wandb value {key}", f"{key!r} is not recorded: {error}")
                continue
            if found is not SKIP:
                ready[key] = found
                self.summary.note(key, value)
        try:
            self.fieldbook_run.log(ready, step=step)
        except (TypeError, ValueError):
            # One of them cannot be: the others are recorded without it.
            for key, value in ready.items():
                try:
                    self.fieldbook_run.log({key: value}, step=step)
                except (TypeError, ValueError) as error:
                    warn_once(f"wandb value {key}", f"{key!r} is not recorded: {error}")

    def define_metric(
        self,
        name: str,
        step_metric: Any = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        **_: Any,
    ) -> Nothing:
        """What a metric's goal and horizontal axis are."""
        kinds = self.summary.ask(name, summary) if summary else []
        best = {"minimize": "min", "maximize": "max"}.get(goal or "")
        for kind in kinds:
            best = best or (kind if kind in ("min", "max") else None)
        x = getattr(step_metric, "name", step_metric)
        self.fieldbook_run.define_metric(usable(name), goal=best, x=None if x is None else usable(str(x)))
        return Nothing("define_metric()")

    # -- settings ---------------------------------------------------------------------------------------------------

    def set_attributes(self, found: Mapping[str, Any]) -> None:
        """Sets attributes; what a Fieldbook run would refuse is told and left out."""
        for key, value in flat(found).items():
            try:
                self.fieldbook_run[key] = value
            except (TypeError, ValueError) as error:
                warn_once(f"wandb attribute {key}", f"{key!r} is not recorded: {error}")

    def _set_config(self, found: dict[str, Any]) -> None:
        self.set_attributes({"params": found})

    def _set_summary(self, found: dict[str, Any]) -> None:
        self.set_attributes(
            {
                f"summary/{key}": value.content().data if isinstance(value, media.Histogram) else value
                for key, value in found.items()
            }
        )

    # -- files ------------------------------------------------------------------------------------------------------

    def keep(self, path: str, source: Any, **arguments: Any) -> None:
        """Keeps a file; what a Fieldbook run would refuse is told and left out."""
        try:
            self.fieldbook_run[path].upload(source, **arguments)
        except (TypeError, ValueError) as error:
            warn(f"{path!r} is not kept: {error}")

    def save(
        self, glob_str: Any = None, base_path: Any = None, policy: str = "live", glob: bool = True, **_: Any
    ) -> list[str]:
        """Keeps files under ``files``: now, and at the end again those that have changed (``policy`` "live" or "end")."""
        if glob_str is None:
            return []
        pattern = os.fsdecode(os.fspath(glob_str))
        found = sorted(globs.glob(pattern, recursive=True)) if glob else [pattern]
        if base_path is not None:
            base = os.fsdecode(os.fspath(base_path))
        elif os.path.isabs(pattern):
            base = os.path.dirname(pattern)
        else:
            base = "."
        while globs.has_magic(base):
            base = os.path.dirname(base)
        kept = []
        for place in found:
            if os.path.isfile(place):
                path = usable("files/" + os.path.relpath(place, base or ".").replace("../", ""))
                self._save(path, place, later=policy != "now", now=policy != "end")
                kept.append(place)
        if not kept:
            warn(f"no file matches {pattern!r}.")
        return kept

    def _save(self, path: str, place: str, later: bool, now: bool) -> None:
        if now:
            self.keep(path, place)
        if later:
            self._saved[path] = (place, _state_of(place) if now else "")

    def log_artifact(
        self,
        artifact_or_path: Any,
        name: str | None = None,
        type: str | None = None,
        aliases: list[str] | None = None,
        **_: Any,
    ) -> Artifact:
        """Keeps the files of an artifact, or a file or folder as one."""
        artifact = artifact_or_path if isinstance(artifact_or_path, Artifact) else of_path(artifact_or_path, name, type)
        artifact.log_in(self, aliases)
        return artifact

    upsert_artifact = finish_artifact = log_artifact

    def log_model(self, path: Any, name: str | None = None, aliases: list[str] | None = None) -> None:
        """Keeps a model's file or folder."""
        self.log_artifact(path, name or f"run-{self.id}-model", "model", aliases)

    def use_artifact(self, artifact_or_name: Any, type: str | None = None, **_: Any) -> Artifact:
        """An artifact that was logged elsewhere: noted as an attribute; its files are not here."""
        if isinstance(artifact_or_name, Artifact):
            self.log_artifact(artifact_or_name)
            return artifact_or_name
        artifact = used(str(artifact_or_name), type)
        self.set_attributes({f"{artifact.id}/used": str(artifact_or_name)})
        return artifact

    @property
    def dir(self) -> str:
        """A folder whose files are kept when the run ends."""
        if self._dir is None:
            import tempfile

            self._dir = tempfile.mkdtemp(prefix="fieldbook-wandb-")
        return self._dir

    # -- the run itself ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id."""
        return self.fieldbook_run.id

    @property
    def name(self) -> str | None:
        """The run's name."""
        return self._about.get("name") or self.fieldbook_run.name

    @name.setter
    def name(self, name: str) -> None:
        self._about["name"] = name
        self.set_attributes({"wandb/name": name})

    @property
    def notes(self) -> str | None:
        """What the script said about the run."""
        return self._about.get("notes")

    @notes.setter
    def notes(self, notes: str) -> None:
        self._about["notes"] = notes
        self.set_attributes({"wandb/notes": notes})

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that this script has given."""
        return tuple(self._about.get("tags") or ())

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        before, after = set(self.tags), [str(tag) for tag in tags]
        self._about["tags"] = after
        try:
            self.fieldbook_run.tags.add(*[tag for tag in after if tag not in before])
            self.fieldbook_run.tags.remove(*[tag for tag in before if tag not in after])
        except (TypeError, ValueError) as error:
            warn(f"tags are not recorded: {error}")

    project = property(lambda self: self._about.get("project"), doc="The project's name.")
    entity = property(lambda self: self._about.get("entity") or "", doc="As the script said it; there are no accounts.")
    group = property(lambda self: self._about.get("group") or "", doc="The run's group.")
    job_type = property(lambda self: self._about.get("job_type") or "", doc="As the script said it.")
    step = property(lambda self: self._step, doc="The current step.")
    starting_step = property(lambda self: 0, doc="Always 0.")
    resumed = property(lambda self: bool(self._about.get("resumed")), doc="Whether the run was to be resumed.")
    offline = property(lambda self: True, doc="Always: an agent carries runs elsewhere.")
    disabled = property(lambda self: self._mode == "disabled", doc="Whether nothing is recorded.")
    sweep_id = property(lambda self: None, doc="None: there are no sweeps.")
    url = property(lambda self: None, doc="None: the agent has the address.")
    start_time = property(lambda self: self._started, doc="Seconds since the Unix epoch.")
    path = property(lambda self: f"{self.entity}/{self.project}/{self.id}", doc="Entity, project and id.")
    settings = property(lambda self: Nothing("run.settings"), doc="Nothing.")
    config_static = property(lambda self: self.config, doc="The configuration.")

    def get_url(self) -> None:
        """None: the agent has the address."""

    def project_name(self) -> Any:
        """The project's name."""
        return self._about.get("project")

    def mark_preempting(self) -> None:
        """Says that a scheduler has announced the end."""
        self.fieldbook_run._put(journal.STATUS, {"status": "preempted", "signal": None, "reason": "mark_preempting"})

    def alert(self, title: str, text: str, level: Any = None, wait_duration: Any = None) -> None:
        """A message: in the series ``alerts`` and on the terminal; nobody is written to."""
        said = f"{title}: {text}"
        warn(said)
        self.fieldbook_run["alerts"].append(said)

    def watch(self, *_: Any, **__: Any) -> None:
        """Gradients are not recorded."""
        unsupported("watch", "log histograms of gradients yourself: run.log({name: wandb.Histogram(p.grad)})")

    def unwatch(self, *_: Any, **__: Any) -> None:
        """Nothing was watched."""

    def log_code(self, *_: Any, **__: Any) -> None:
        """Code is captured without being asked."""

    def status(self) -> Nothing:
        """Nothing waits to be sent."""
        return Nothing("run.status()")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Nothing(f"run.{name}")

    def finish(self, exit_code: int | None = None, **_: Any) -> None:
        """Ends the run; ``exit_code`` other than 0 says that it failed."""
        self._last_files()
        if exit_code:
            self.fieldbook_run._close("failed", exit_code, error=f"finish(exit_code={exit_code})")
        else:
            self.fieldbook_run.finish()
        from . import ended

        ended(self)

    join = finish

    def _last_files(self) -> None:
        if self.fieldbook_run._finished:
            return
        for path, (place, state) in self._saved.items():
            if os.path.isfile(place) and _state_of(place) != state:
                self.keep(path, place)
        self._saved.clear()
        if self._dir is not None and os.listdir(self._dir):
            self.fieldbook_run.upload_files(self._dir, to="files")
        if self._dir is not None:
            import shutil

            shutil.rmtree(self._dir, ignore_errors=True)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return self.finish()
        self._last_files()
        self.fieldbook_run._end_with(error)
        from . import ended

        return ended(self)


def _state_of(place: str) -> str:
    try:
        about = os.stat(place)
    except OSError:
        return ""
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


__all__ = ["Error", "Run"]
