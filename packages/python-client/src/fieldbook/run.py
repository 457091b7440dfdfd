"""A run, as a training script sees it: its verbs, its life, and the seams for what is captured.

Two kinds of trouble are kept apart. A mistake of the user (a step that is a text, a path with an empty part) raises
``TypeError`` or ``ValueError`` at once and names the argument. Trouble of the machine (a full disk, a deleted folder)
never raises: ``writer`` warns once, counts, and goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import environment, journal, values
from .attribute import Attribute
from .attributes import PARENT, STRINGIFIED, Echo, encoded, in_records
from .console import warn_once
from .recording import Recording
from .tags import Tags
from .version import VERSION
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from types import TracebackType
    from typing import Any

    from .attributes import Encoded


#: The end of a traceback says most; a journal is not a place for megabytes of recursion.
TRACEBACK_LIMIT = 64 * 1024
#: UTF-8 bytes of a metric's unit.
UNIT_LIMIT = 64


class Run(Recording):
    """One execution. Made by :func:`init`; ends with :meth:`finish`, its ``with`` block, or the process."""

    def __init__(
        self,
        *,
        project: str,
        project_id: str,
        run_id: str,
        about: Mapping[str, Any],
        home: str,
        parent: Mapping[str, Any] | None,
        disabled: bool,
        all_ranks: bool,
    ) -> None:
        self.id = run_id
        self.project = project_id
        self.name: str | None = about["name"]
        self.tags = Tags(self)
        self.tags._given.update(about["tags"])
        self._typed_project = project
        self._about = about
        self._home = home
        self._folder = os.path.join(home, "journals", project_id, run_id)
        self._parent = parent
        #: The id of the run that this one belongs to.
        self._above: str | None = None
        self._forked = False
        #: Facts of META that the switches of captures leave out.
        self._hidden: frozenset[str] = frozenset()
        self._created = 0.0
        self._echo = Echo()
        self._children = 0
        #: Libraries of charts that this run has kept (:mod:`fieldbook.media_figure`).
        self._libraries: set[str] = set()
        self._beating: threading.Event | None = None
        self._disabled = disabled
        rank, _, world = environment.rank()
        # Ranks above 0 only record that they lived, ended and why.
        self._muted = disabled or (not all_ranks and bool(rank) and (world or 0) > 1)
        self._finished = False
        self._ending = False
        self._pid = os.getpid()
        self._writer = self._new_writer()

    def __repr__(self) -> str:
        return f"<fieldbook run {self.id} of project {self.project}>"

    # -- verbs ----------------------------------------------------------------------------------------------------

    def log(self, values: Mapping[str, Any], step: Any = None) -> None:
        """Points of several series at once: ``run.log({"train/loss": 0.3, "sample": fieldbook.Image(a)}, step=10)``.

        Numbers are metrics; texts, pictures, figures, tables and other objects are series of their own, as
        :meth:`fieldbook.Attribute.append` says. Nested mappings are paths.
        """
        if self._pid != _getpid():
            self._after_fork()
        if type(values) is not dict or not _PLAIN.issuperset(map(type, values.values())):
            values = self._log_objects(values, step)
        if self._finished or self._muted:
            self._ignore(values, step)
            return
        self._writer.log(values, step)

    def _log_objects(self, values: Mapping[str, Any], step: Any) -> Mapping[str, Any]:
        """Records what is no number, and returns the rest."""
        if type(values) is not dict:
            values = _check_mapping(values)
        elif _values.SCALARS.issuperset(map(type, values.values())):
            return values
        elif any(isinstance(value, Mapping) for value in values.values()):
            values = dict(_flat(values))
        if all(map(_values.is_number, values.values())):
            return values
        from . import series

        return series.log(self, values, step)

    def __setitem__(self, path: str, value: Any) -> None:
        """Sets an attribute; a mapping, dataclass, namespace or list of such sets everything below the path.

        A picture, figure or other object of this package is kept as a file there.
        """
        _values.check_path(path, "the attribute's path")
        if getattr(value, "_fieldbook_media", False):
            return self[path].upload(value)
        found = encoded(value, path, f"run[{path!r}]")
        if self._finished:
            return self._ignore()
        self._set(found)

    def __getitem__(self, path: str) -> Attribute:
        return Attribute(self, _values.check_path(path, "the attribute's path"))

    def __delitem__(self, path: str) -> None:
        """Removes an attribute or file and everything below it."""
        self._delete([_values.check_path(path, "the attribute's path")])

    def update(self, values: Mapping[str, Any]) -> None:
        """Sets several attributes: ``run.update({"data/rows": 50_000, "params": {"lr": 0.1}})``."""
        if _values.members_of(values) is None:
            raise TypeError(f"values must be a mapping, not {type(values).__name__}")
        found = encoded(values, "", "values") if values else []
        if self._finished:
            return self._ignore()
        self._set(found)

    def define_metric(
        self, name: str, *, goal: str | None = None, unit: str | None = None, x: str | None = None
    ) -> None:
        """Says what a metric means: ``run.define_metric("val/acc", goal="max", unit="%", x="epoch")``.

        ``name`` may hold ``*`` for any text: ``"val/*"``; what is said of a metric by its whole name counts more. ``goal``
        is ``"min"`` or ``"max"``: which values are good. ``x`` is the metric whose values are the horizontal axis.
        """
        _values.check_path(name, "name")
        if goal not in (None, "min", "max"):
            raise ValueError(f"goal must be 'min' or 'max', not {goal!r}")
        said: dict[str, Any] = {"goal": goal}
        said["unit"] = None if unit is None else _values.check_text(unit, "unit", UNIT_LIMIT)
        said["x"] = None if x is None else _values.check_path(x, "x")
        self[f"metric/{name}"] = {key: value for key, value in said.items() if value is not None}

    def upload_files(
        self, files: Any, to: str = "files", *, travel: str | None = None, link: bool = False
    ) -> list[str]:
        """Keeps several files below a path, and returns theirs: ``run.upload_files("out/**/*.png", to="plots")``.

        ``files`` is a glob, a folder (everything in it), or a list of paths. Names keep their folders from where the glob
        begins, or below the folder; those of a list from the current folder. A pattern without a match is told, and a file
        that has gone meanwhile too; neither raises. ``travel`` and ``link`` as in :meth:`fieldbook.Attribute.upload`.
        """
        from . import upload

        return upload.upload_files(self, files, _values.check_path(to, "to"), travel=travel, link=link)

    def child(self, name: str | None = None, **arguments: Any) -> Run:
        """Starts a run of its own that belongs to this one: a fold, a trial. ``arguments`` are those of ``init``."""
        from .start import init

        arguments.setdefault("mode", "disabled" if self._disabled else None)
        arguments.setdefault("home", self._home)
        return init(self._typed_project, name, parent=self, **arguments)

    def finish(self) -> None:
        """Ends the run well. Called again, or after the ``with`` block ended it, it does nothing."""
        self._close("finished", 0)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_with(error)

    # -- life -------------------------------------------------------------------------------------------------------

    def _begin(self, params: list[Encoded], options: Any, above: str | None, resume: bool) -> None:
        # 5 ms that `import fieldbook` does not cost; here and not at the end, when a failing process may not import.
        import traceback  # noqa: F401

        self._above = above
        if not self._disabled:
            from . import hooks

            self._capturing("hide", options)
            self._writer.open()
            environment.announce(self.id, self._writer.id, self.project)
            self._start_heartbeat()
            hooks.watch(self)
            if resume:
                self._resume()
            self._capturing("begin", options)
        if above is not None:
            params = [*params, (PARENT, above, above, None)]
        self._set(params)

    def _resume(self) -> None:
        """Automatic steps go on where what is known here of the run leaves off."""
        try:
            from . import resume

            resume.continue_steps(self)
        except Exception as error:
            warn_once(
                "resume", f"steps without a number begin at 0: what is here of run {self.id} cannot be read: {error}"
            )

    def _next_child(self) -> str | None:
        """Ranks that start children in the same order agree on their ids without talking; others need none."""
        self._children += 1
        world = environment.rank()[2]
        return f"{self.id[:56]}-c{self._children}" if world is not None and world > 1 else None

    def _new_writer(self) -> Writer:
        import time

        self._created = time.time() * 1000.0
        writer = environment.mint_id()
        facts = environment.describe() if not self._disabled else {}
        beat = None if self._disabled else environment.heartbeat_seconds(self._folder)
        self._heartbeat = beat
        fixed = {
            "project": self._typed_project,
            "project_id": self.project,
            "run": self.id,
            "writer": writer,
            "created": self._created,
            **self._about,
            "parent": self._parent,
            "forked": self._forked,
            "heartbeat": beat,
            "client": VERSION,
            **facts,
        }

        def meta(lock: str | None) -> dict[str, Any]:
            return {**{key: value for key, value in fixed.items() if key not in self._hidden}, "lock": lock}

        return Writer(self._folder, writer, meta)

    def _after_fork(self) -> None:
        """The first call in a forked child: it gets a journal of its own, marked with its parent."""
        parent = self._writer
        self._parent = {"writer": parent.id, "pid": parent.pid}
        self._forked = True
        self._pid = os.getpid()
        self._about = {**self._about, "tags": []}
        parent.abandon()
        self._writer = self._new_writer()
        if not (self._disabled or self._finished):
            from . import hooks

            self._writer.open()
            self._start_heartbeat()
            hooks.watch(self)
            self._capturing("forked")

    def _capturing(self, moment: str, *arguments: Any) -> None:
        """Tells :mod:`fieldbook.capture` of a moment of this run. Its troubles are not the training's."""
        try:
            found = capturing()
            if found is not None:
                getattr(found, moment)(self, *arguments)
        except Exception as error:
            warn_once(f"capture {moment}", f"something could not be captured, please report this: {error!r}")

    def _start_heartbeat(self) -> None:
        """A thread only where silence would look like death: on network file systems."""
        if self._heartbeat is None:
            return
        import threading

        seconds, writer, over = self._heartbeat, self._writer, threading.Event()

        def beat() -> None:
            while not over.wait(seconds) and not writer.closed:
                writer.beat()

        self._beating = over
        threading.Thread(target=beat, name="fieldbook-heartbeat", daemon=True).start()

    def _end_with(self, error: BaseException | None) -> None:
        if error is None:
            return self._close("finished", 0)
        if isinstance(error, SystemExit):
            code = error.code
            if code is None or code == 0:
                return self._close("finished", 0)
            status = code if isinstance(code, int) else 1
            return self._close("failed", status, error=f"SystemExit: {str(code)[:1000]}")
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        summary = "".join(traceback.format_exception_only(type(error), error)).strip()
        self._close("failed", 1, error=summary[:2000], trace=text[-TRACEBACK_LIMIT:])

    def _close(
        self,
        status: str,
        exit_code: int | None,
        *,
        error: str | None = None,
        trace: str | None = None,
        signal: int | None = None,
    ) -> None:
        if self._pid != os.getpid() and not self._finished:
            # A forked child that has logged nothing leaves no trace; one that has, closes its own journal.
            self._writer.abandon()
            self._finished = True
            return
        if self._finished:
            return
        if self._writer.busy():
            self._writer.later(lambda: self._close(status, exit_code, error=error, trace=trace, signal=signal))
            return
        if not self._ending:
            # A signal may end the run for good while this still writes what is left to say.
            self._ending = True
            if not self._disabled:
                self._capturing("end", status)
            if self._finished:
                return
        if self._disabled:
            self._finished = True
            return
        from . import hooks, preemption

        status = preemption.ending(self, status)
        self._finished = True
        if self._beating is not None:
            self._beating.set()
        if error or trace:
            # An exception says what it failed with: a URL with a login, a line of source that holds a key.
            from .redaction import redact_lines

            error, trace = error and redact_lines(error), trace and redact_lines(trace)
        self._writer.catch_up()
        self._writer.close(
            {"status": status, "exit_code": exit_code, "signal": signal, "error": error, "traceback": trace}
        )
        environment.withdraw(self.id)
        hooks.forget(self)

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _set(self, found: list[Encoded]) -> None:
        for chunk in in_records(self._echo.note(found)):
            self._put(journal.ATTRS, {"set": chunk, "del": []})

    def _delete(self, paths: list[str]) -> None:
        said: dict[str, Any] = {"set": {}, "del": paths}
        for path in paths:
            flags = self._echo.forget(path)
            if flags is not None:
                said["set"] = {STRINGIFIED: flags}
        self._put(journal.ATTRS, said)

    def _put(self, kind: int, value: Mapping[str, Any]) -> None:
        if self._finished:
            return self._ignore()
        if self._muted:
            return
        self._record(kind, value)

    def _ignore(self, values: Mapping[str, Any] | None = None, step: Any = None) -> None:
        """Nothing is recorded, but mistakes are still told."""
        if self._finished:
            warn_once(f"finished {self.id}", f"run {self.id} is finished; what is logged to it now is not recorded.")
        if values is not None:
            if step is not None:
                _values.step_of(step)
            for key, value in values.items():
                _values.check_path(key, "a metric's name")
                if not _values.on_device(value):
                    _values.number_of(key, value)


def capturing() -> Any:
    """The module that records what nobody asked for; None where it cannot be imported."""
    try:
        from importlib import import_module

        return import_module("fieldbook.capture")
    except ImportError:
        return None


_values = values
_getpid = os.getpid
_PLAIN = frozenset((float, int))


def _check_mapping(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise TypeError(f"values must be a dict of metric names and numbers, not {type(given).__name__}")
    return dict(_flat(given))


def _flat(given: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in given.items():
        path = f"{prefix}/{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        else:
            yield path, value
