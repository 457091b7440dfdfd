"""A run, as a training script sees it: ``init`` and the verbs.

Two kinds of trouble are kept apart. A mistake of the user (a step that is a text, a path with an empty part) raises
``TypeError`` or ``ValueError`` at once and names the argument. Trouble of the machine (a full disk, a deleted folder)
never raises: ``writer`` warns once, counts, and goes on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType

from . import environment, hooks, journal, values
from .console import warn_once
from .version import VERSION
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: The end of a traceback says most; a journal is not a place for megabytes of recursion.
TRACEBACK_LIMIT = 64 * 1024
#: JSON of one ATTRS record, far below the record limit.
ATTRS_BYTES = 256 * 1024


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
) -> Run:
    """Starts a run, or joins one.

    ``project`` groups runs; names that differ in case or spaces are the same project. ``run_id`` chooses the run's id:
    the same id in another process or on another machine is the same run. Without it a process that was started by a
    run's process, or by a launcher of several ranks (torchrun, srun, mpirun), joins its run; any other gets a fresh id.
    ``config`` (a mapping, namespace or dataclass) becomes the attributes under ``params``.

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
    checked_tags = [] if tags is None else _check_tags(tags, "tags")
    params = [] if config is None else _check_config(config)

    capturing = _capture()
    if capture is not None and hasattr(capturing, "check"):
        capturing.check(capture)

    parent = environment.parent()
    inherited = _inherited_run(project_id, parent)
    run = Run(
        project=project,
        project_id=project_id,
        run_id=run_id or inherited or environment.shared_run_id(project_id) or environment.mint_id(),
        about={"name": name, "group": group, "notes": notes, "tags": checked_tags},
        home=os.path.abspath(os.fspath(home)) if home is not None else environment.home(),
        parent={"writer": parent[1], "pid": parent[0]} if parent and inherited else None,
        disabled=mode == "disabled" or (mode is None and environment.disabled()),
        all_ranks=all_ranks,
    )
    run._begin(params, capture)
    return run


def _capture() -> Any:
    """The module that records what nobody asked for; None where it cannot be imported."""
    try:
        from importlib import import_module

        return import_module("fieldbook.capture")
    except ImportError:
        return None


def _inherited_run(project_id: str, parent: tuple[int, str, str] | None) -> str | None:
    """The run that the environment says to join, unless it is this process's own earlier one or another project's."""
    run_id = os.environ.get(environment.RUN_ID)
    if not run_id or (parent is not None and (parent[0] == os.getpid() or parent[2] != project_id)):
        return None
    return environment.check_run_id(run_id, environment.RUN_ID)


def _check_tags(tags: Any, argument: str) -> list[str]:
    if isinstance(tags, str):
        raise TypeError(f"{argument} must be a list of strings, not one string: write [{tags!r}]")
    try:
        listed = list(tags)
    except TypeError:
        raise TypeError(f"{argument} must be a list of strings, not {type(tags).__name__}") from None
    if len(listed) > values.TAGS_LIMIT:
        raise ValueError(f"{argument} has {len(listed)} tags; a run has at most {values.TAGS_LIMIT}")
    return list(dict.fromkeys(values.check_tag(tag, f"{argument}[{index}]") for index, tag in enumerate(listed)))


def _check_config(config: Any) -> list[tuple[str, Any]]:
    if values.members_of(config) is None:
        raise TypeError(f"config must be a mapping, namespace or dataclass, not {type(config).__name__}")
    return _encoded(config, "params", "config") if values.members_of(config) else []


def _encoded(value: Any, prefix: str, argument: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for path, leaf in values.flatten(value, prefix, argument):
        pairs.append((values.check_path(path, argument), values.encode_attribute(path, leaf)))
        if len(pairs) > values.ATTRIBUTES_LIMIT:
            raise ValueError(f"{argument} has more than {values.ATTRIBUTES_LIMIT} values")
    return pairs


class Tags:
    """The tags that this script gives its run. People add and remove theirs elsewhere; the two meet in the run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        #: What this script gave and has not taken back; the others in force are not known here.
        self._given: set[str] = set()

    def add(self, *tags: str) -> None:
        """``run.tags.add("baseline", "fp16")``"""
        self._change("add", tags)

    def remove(self, *tags: str) -> None:
        """Takes tags away again, whoever gave them."""
        self._change("remove", tags)

    def _change(self, verb: str, tags: tuple[Any, ...]) -> None:
        flat = [item for tag in tags for item in (tag if isinstance(tag, (list, tuple, set, frozenset)) else [tag])]
        checked = _check_tags(flat, "tags")
        given = self._given.union(checked) if verb == "add" else self._given.difference(checked)
        if len(given) > values.TAGS_LIMIT:
            raise ValueError(f"tags: this would be tag {len(given)}; a run has at most {values.TAGS_LIMIT}")
        self._given = given
        if checked:
            self._run._put(journal.TAGS, {"add": [], "remove": [], verb: checked})


class Attribute:
    """What lies under a path: ``run["params/lr"]``, ``run["train/loss"]``."""

    __slots__ = ("_path", "_run")

    def __init__(self, run: Run, path: str) -> None:
        self._run = run
        self._path = path

    def append(self, value: Any, step: Any = None) -> None:
        """One more point of the metric at this path; without a step, one more than its last."""
        self._run.log({self._path: value}, step)

    @property
    def value(self) -> Any:
        """What this process last set here. Raises ``KeyError`` for what it has not set."""
        return self._run._echo[self._path]

    def __getitem__(self, path: str) -> Attribute:
        return self._run[f"{self._path}/{path}"]

    def __setitem__(self, path: str, value: Any) -> None:
        self._run[f"{self._path}/{path}"] = value

    def __repr__(self) -> str:
        return f"<fieldbook attribute {self._path!r} of run {self._run.id}>"


class Run:
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
        self._folder = os.path.join(home, "journals", project_id, run_id)
        self._parent = parent
        self._forked = False
        self._created = 0.0
        self._echo: dict[str, Any] = {}
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
        """Points of several metrics at once: ``run.log({"train/loss": 0.3, "acc": 0.9}, step=10)``."""
        if self._pid != _getpid():
            self._after_fork()
        if type(values) is not dict:
            values = _check_mapping(values)
        elif _MAPPING in set(map(type, values.values())):
            values = dict(_flat(values))
        if self._finished or self._muted:
            self._ignore(values, step)
            return
        self._writer.log(values, step)

    def __setitem__(self, path: str, value: Any) -> None:
        """Sets an attribute; a mapping sets everything below the path."""
        _values.check_path(path, "the attribute's path")
        if self._finished:
            return self._ignore()
        leaves = list(_values.flatten(value, path, f"run[{path!r}]"))
        self._set(_encoded(value, path, f"run[{path!r}]"), leaves)

    def __getitem__(self, path: str) -> Attribute:
        return Attribute(self, _values.check_path(path, "the attribute's path"))

    def __delitem__(self, path: str) -> None:
        """Removes an attribute and everything below it."""
        _values.check_path(path, "the attribute's path")
        for known in [known for known in self._echo if known == path or known.startswith(path + "/")]:
            del self._echo[known]
        self._put(journal.ATTRS, {"set": {}, "del": [path]})

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

    def _begin(self, params: list[tuple[str, Any]], options: Any = None) -> None:
        # 5 ms that `import fieldbook` does not cost; here and not at the end, when a failing process may not import.
        import traceback  # noqa: F401

        if not self._disabled:
            self._writer.open()
            environment.announce(self.id, self._writer.id, self.project)
            self._start_heartbeat()
            hooks.watch(self)
            self._capturing("begin", options)
        if params:
            self._set(params, params)

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
        return Writer(self._folder, writer, lambda lock: {**fixed, "lock": lock})

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
            self._writer.open()
            self._start_heartbeat()
            hooks.watch(self)
            self._capturing("forked")

    def _capturing(self, moment: str, *arguments: Any) -> None:
        """Tells :mod:`fieldbook.capture` of a moment of this run. Its troubles are not the training's."""
        try:
            found = _capture()
            if found is not None:
                getattr(found, moment)(self, *arguments)
        except Exception as error:
            warn_once(f"capture {moment}", f"something could not be captured, please report this: {error!r}")

    def _start_heartbeat(self) -> None:
        """A thread only where silence would look like death: on network file systems."""
        if self._heartbeat is None:
            return
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
        self._finished = True
        if self._beating is not None:
            self._beating.set()
        if not self._disabled:
            self._writer.catch_up()
            self._writer.close(
                {"status": status, "exit_code": exit_code, "signal": signal, "error": error, "traceback": trace}
            )
        environment.withdraw(self.id)
        hooks.forget(self)

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _set(self, pairs: list[tuple[str, Any]], leaves: list[tuple[str, Any]]) -> None:
        self._echo.update(leaves)
        chunk: dict[str, Any] = {}
        size = 0
        for path, value in pairs:
            chunk[path] = value
            size += 600 + (len(value) * 4 if isinstance(value, str) else 0)
            if isinstance(value, list):
                size += sum(len(item) * 4 for item in value)
            if size > ATTRS_BYTES:
                self._put(journal.ATTRS, {"set": chunk, "del": []})
                chunk, size = {}, 0
        if chunk:
            self._put(journal.ATTRS, {"set": chunk, "del": []})

    def _put(self, kind: int, value: Mapping[str, Any]) -> None:
        if self._finished:
            return self._ignore()
        if self._muted:
            return
        self._record(kind, value)

    # -- seams for what is captured: these record on every rank -------------------------------------------------------

    def _live(self) -> bool:
        """Whether records can be written, in this process's own journal."""
        if self._finished or self._disabled:
            return False
        if self._pid != os.getpid():
            self._after_fork()
        return True

    def _record(self, kind: int, value: Mapping[str, Any]) -> None:
        if self._live():
            self._writer.put(kind, value)

    def _spool(self) -> str:
        """The spool folder of this process's writer."""
        return os.path.join(self._folder, f"{self._writer.id}.files")

    def _attach(
        self,
        path: str,
        source: str | os.PathLike[str] | bytes,
        *,
        name: str | None = None,
        kind: str = "file",
        mime: str | None = None,
        meta: Mapping[str, Any] | None = None,
        travel: str | None = None,
        link: bool = False,
    ) -> dict[str, Any] | None:
        """Keeps a file, or its bytes, in the spool and names it under an attribute path.

        ``kind`` as FILE of docs/formats/journal.md has it. ``link`` as in :func:`fieldbook.spool.keep`. Returns what
        that returned; None when nothing is recorded.
        """
        if not self._live():
            return None
        from . import spool

        if name is None:
            name = path.rpartition("/")[2] if isinstance(source, bytes) else os.path.basename(os.fspath(source))
        kept = spool.keep(self._spool(), source, name or "file", link=link)
        body = {"path": path, **kept, "mime": mime, "kind": kind, "meta": meta, "travel": travel}
        self._record(journal.FILE, body)
        return kept

    def _capture(self, section: str, data: Mapping[str, Any]) -> None:
        """One section of what was captured; a later one of its name replaces it."""
        self._record(journal.CAPTURE, {"section": section, "data": data})

    def _console(self, stream: int, text: str, flags: int = 0) -> None:
        """Whole lines of the console, separated by newlines. ``stream`` and ``flags`` as in :mod:`fieldbook.journal`."""
        if not self._live():
            return
        import time

        now = time.time() * 1000.0
        for piece in _console_pieces(text):
            self._writer.put_bytes(journal.CONSOLE, journal.console(now, stream, flags, piece))

    def _object(self, path: str, step: float | None, body: Mapping[str, Any]) -> None:
        """One point of a series of objects; ``body`` has ``kind`` and what belongs to it (OBJECT of journal.md)."""
        if self._live():
            self._writer.put_object(path, step, body)

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


def _console_pieces(text: str) -> Iterable[str]:
    """The text in pieces of one record each, cut at the ends of lines where there are any. A character has up to four bytes."""
    limit = journal.CONSOLE_LIMIT // 4
    while len(text) > limit:
        cut = text.rfind("\n", 1, limit)
        yield text[:cut] if cut > 0 else text[:limit]
        text = text[cut + 1 :] if cut > 0 else text[limit:]
    yield text


_values = values
_getpid = os.getpid
_MAPPING = dict


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
