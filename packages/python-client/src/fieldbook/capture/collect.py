"""What the companion captures, in which order, and under which names it stands in the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from time import monotonic

from .. import journal
from . import configs, git, gpus, jupyter, machine, packages, source, surroundings
from .switches import Switches
from .system import SystemSampler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..run import Run
    from .captured import Captured

CHUNK = 50


class Collector:
    """Captures of one run into ``record`` (a run's journal). ``about`` is the companion's first message; of it are used ``pid``,
    ``cwd``, ``entry``, ``argv``, ``sys_path``, ``prefix``, ``python``, ``modules``, ``notebook``."""

    def __init__(
        self,
        record: Captured | Run,
        about: dict[str, Any],
        switches: Switches,
        unwanted: Callable[[], bool] = lambda: False,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._record = record
        self._about = about
        self._on = switches
        self._unwanted = unwanted
        self._notice = notice
        self._checkout: git.Checkout | None = None
        self._local: list[str] = []
        self._taken: set[str] = set()
        self._budget = source.Budget()
        self._as_committed = False
        self._notebook: tuple[str, float] | None = None
        self._gpus: gpus.Nvml | gpus.NvidiaSmi | None = None
        self._gpu_indices: list[int] | None = None
        self._looked_for_gpus = False

    def run(self) -> None:
        """Everything once, what a person wants to hear of first. What fails is told in section ``code`` and stops nothing else."""
        try:
            self._guarded("code", self._code)
        finally:
            self._notice("")
        for name, work in (
            ("environment", self._surroundings),
            ("config", self._configs),
            ("packages", self._packages),
            ("gpus", self._describe_gpus),
            ("notebook", self._notebook_file),
            ("environment", self._environment_files),
        ):
            self._guarded(name, work)

    def finish(self, modules: Iterable[str]) -> None:
        """At the end: modules that were imported since, and the notebook as it is now."""
        if "snapshot" in self._on and not self._unwanted():
            self._guarded("snapshot", lambda: self._snapshot(modules))
        self._guarded("notebook", self._notebook_file)

    def sampler(self) -> SystemSampler:
        """Samples the training, its descendants, the machine and the GPUs that the training sees."""
        self._find_gpus()
        folder = self._record._folder
        return SystemSampler(
            [self._about["pid"]],
            folder if os.path.isdir(folder) else "/",
            self._gpus,
            self._gpu_indices,
            without=[os.getpid()],
        )

    def _guarded(self, switch: str, work: Callable[[], None]) -> None:
        if switch not in self._on or self._unwanted():
            return
        try:
            work()
        except Exception as error:  # one capture that this machine makes impossible
            self._notice(f"{switch} could not be captured, please report this: {error!r}")

    # -- code -------------------------------------------------------------------------------------------------------

    def _code(self) -> None:
        begun = monotonic()
        about = self._about
        folder = os.path.dirname(about["entry"]) if about["entry"] else about["cwd"]
        checkout = git.Checkout(folder or about["cwd"] or "/", self._unwanted)
        facts = checkout.describe()
        warning = None if facts is None else git.warning_of(facts)
        if warning:
            self._notice(warning)
        self._notice("")
        if facts is not None:
            self._checkout = checkout
            facts["seconds"] = round(monotonic() - begun, 3)
            self._record._capture("git", facts)
            if "diff" in self._on and facts.get("dirty"):
                patch = checkout.patch()
                if patch:
                    self._record._attach("source/diff.patch", patch, kind="source", mime="text/x-patch")
                self._record._capture("git", facts)  # with the notes about the patch
            if "untracked" in self._on and checkout.root:
                budget = source.Budget()
                for taken in source.untracked(checkout.root, checkout.untracked, budget):
                    self._attach(f"source/untracked/{taken.relative}", taken)
                    self._taken.add(os.path.realpath(taken.path))
                if budget.left_out:
                    facts["untracked_left_out"] = budget.left_out
                    self._record._capture("git", facts)
            self._as_committed = facts.get("dirty") is False
        self._local = source.roots(about["entry"], about["cwd"], checkout.root)
        if "snapshot" in self._on:
            self._snapshot(about.get("modules", ()))

    def _snapshot(self, modules: Iterable[str]) -> None:
        entry = self._about["entry"]
        files = [path for path in modules if source.is_local(path, self._local)]
        if entry:
            files = [
                entry,
                *(source.imported_files(entry, self._local, self._about["sys_path"]) if entry.endswith(".py") else ()),
                *files,
            ]
        files = list(dict.fromkeys(os.path.realpath(path) for path in files))
        if self._as_committed and self._checkout is not None:
            # git has them, except what it was told to ignore and what lies outside.
            known = self._checkout.tracked(
                [path for path in files if path.startswith(str(self._checkout.root) + os.sep)]
            )
            files = [path for path in files if path not in known]
        for path in files:
            if path not in self._taken:
                self._taken.add(path)
                taken = self._budget.take(path, source.relative_to(path, self._local))
                if taken is not None:
                    self._attach(f"source/files/{taken.relative}", taken)
        self._record._capture(
            "code",
            {
                "entry": source.relative_to(entry, self._local) if entry else None,
                "roots": self._local,
                "files": len(self._taken),
                "left_out": self._budget.left_out,
            },
        )

    def _attach(self, path: str, taken: source.Taken, kind: str = "source") -> None:
        meta = {"redacted": taken.places} if taken.places else None
        self._record._attach(path, taken.content, kind=kind, meta=meta)

    # -- surroundings -----------------------------------------------------------------------------------------------

    def _surroundings(self) -> None:
        record = self._record
        record._capture("python", self._about["python"])
        folders = [self._about["cwd"] or "/", os.path.dirname(record._folder), "/"]
        record._capture("machine", machine.describe(folders))
        for section, data in (("container", surroundings.container()), ("launcher", surroundings.launcher())):
            if data is not None:
                record._capture(section, data)
        if "variables" in self._on:
            record._capture("variables", dict(surroundings.variables()))

    def _packages(self) -> None:
        found = packages.installed(self._about["sys_path"])
        self._record._capture("packages", packages.describe(found))
        text = packages.requirements(found).encode()
        self._record._attach("environment/requirements.txt", text, kind="environment", mime="text/plain")
        conda = packages.conda(self._about["python"]["prefix"], dict(os.environ))
        if conda is not None:
            self._record._capture("conda", conda[0])
            self._record._attach(
                "environment/conda-explicit.txt", conda[1].encode(), kind="environment", mime="text/plain"
            )

    def _environment_files(self) -> None:
        folders = [self._about["cwd"], self._checkout.root if self._checkout is not None else None]
        for taken in source.environment_files([folder for folder in folders if folder], source.Budget(files=50)):
            self._attach(f"environment/files/{taken.relative}", taken, kind="environment")

    def _find_gpus(self) -> None:
        if self._looked_for_gpus or "gpus" not in self._on:
            return
        self._looked_for_gpus = True
        self._gpus = gpus.find(self._about.get("nvml"))
        if self._gpus is not None:
            used = gpus.visible(self._gpus.look(), os.environ)
            self._gpu_indices = [gpu.index for gpu in used]

    def _describe_gpus(self) -> None:
        if "system" not in self._on:
            self._find_gpus()
        if self._gpus is not None:
            used = [gpu for gpu in self._gpus.look() if gpu.index in (self._gpu_indices or ())]
            self._record._capture("gpus", gpus.describe(self._gpus, used))

    # -- configuration and notebooks --------------------------------------------------------------------------------

    def _configs(self) -> None:
        notes: dict[str, str] = {}
        for path in configs.named(self._about["argv"], self._about["cwd"]):
            budget = source.Budget()
            taken = budget.take(path, os.path.basename(path))
            if taken is None:
                notes[os.path.basename(path)] = f"not taken: {next(iter(budget.left_out))}"
                continue
            self._attach(f"config/{taken.relative}", taken, kind="config")
            with open(path, "rb") as file:
                content, note = configs.parse(path, file.read(configs.FILE_BYTES))
            found, more = configs.attributes(path, content) if note is None else ({}, note)
            if more:
                notes[taken.relative] = more
            pairs = list(found.items())
            for start in range(0, len(pairs), CHUNK):
                self._record._put(journal.ATTRS, {"set": dict(pairs[start : start + CHUNK]), "del": []})
        if notes:
            self._record._capture("config", {"notes": notes})

    def _notebook_file(self) -> None:
        hints = self._about.get("notebook")
        path = jupyter.find(hints) if hints else None
        if path is None:
            return
        changed = os.stat(path).st_mtime
        if self._notebook == (path, changed):
            return
        self._notebook = (path, changed)
        taken = source.Budget(each=jupyter.FILE_BYTES).take(path, os.path.basename(path))
        if taken is not None:
            meta = {"name": taken.relative, **({"redacted": taken.places} if taken.places else {})}
            self._record._attach(
                "source/notebook.ipynb", taken.content, name=taken.relative, kind="notebook", meta=meta
            )
