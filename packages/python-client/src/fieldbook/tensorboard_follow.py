"""Finds TensorBoard event files while a command writes them, and records what they say.

Nothing is asked of the writing program: folders are looked through every few seconds (only what changed is listed), and files
are read from where the last look ended. How far each file has been read is kept in ``tensorboard/<run id>.json`` of the
home, so a follower that starts again, in this process or with ``--resume``, goes on there and records nothing twice.
"""

from __future__ import annotations

import json
import os
import re
import threading
from time import monotonic, time

from .console import warn_once
from .tensorboard_bytes import Damaged
from .tensorboard_file import PIECE, EventFile, boundary
from .tensorboard_names import Folders
from .tensorboard_owner import FOREIGN, NOBODY, OURS, STRANGER, Owners
from .tensorboard_sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .writer import Writer

#: A folder tree of a data set must not be walked: depth, folders in all, entries of one folder.
DEPTH_LIMIT = 8
FOLDERS_LIMIT = 5000
ENTRIES_LIMIT = 20_000
FILES_LIMIT = 2000
#: Between two looks, and a look takes at most one part in so many of the time.
INTERVAL_S = 2.0
SHARE = 20
#: How long a new file that nobody holds waits for somebody to say that it is another run's.
UNCLAIMED_S = 5.0

_NAME = re.compile(r"tfevents\.(\d{9,11})?")
_PASSED_BY = frozenset(
    ["node_modules", "__pycache__", "site-packages", "venv", "env", "wandb", "mlruns", "proc", "sys"]
)


class State:
    """How far the files of a run have been read: survives the follower."""

    def __init__(self, home: str, run_id: str, root: str | None = None) -> None:
        self._path = os.path.join(home, "tensorboard", f"{run_id}.json")
        #: The folder of the run itself.
        self.root: str | None = root
        self.offsets: dict[str, int] = {}
        #: By writer, the sequence number behind which its journal may have events that no offset knows of yet.
        self.since: dict[str, int] = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                said = json.load(file)
            self.root = said["root"] if root is None and isinstance(said["root"], str) else root
            self.offsets = {str(path): int(offset) for path, offset in said["offsets"].items()}
            self.since = {str(writer): int(sequence) for writer, sequence in said.get("since", {}).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        self._saved = dict(self.offsets)

    def begin(self, sink: Sink) -> None:
        """Before the first event is recorded: what an earlier follower recorded and did not note is passed over."""
        sink.recall(self.since)
        writer, sequence = sink.place
        self.since.setdefault(writer, sequence)
        self._write()

    def save(self, sink: Sink, whole: bool = False) -> None:
        """Replaces the file when something has changed. A disk that refuses only makes a restart less exact. ``whole``: all
        files have been read to their ends."""
        if whole:
            sink.recorded.forget()
        if self.offsets == self._saved:
            return
        if not sink.recorded:
            self.since = dict([sink.place])
        self._write()

    def _write(self) -> None:
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            temporary = f"{self._path}.{os.getpid()}.part"
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({"root": self.root, "offsets": self.offsets, "since": self.since}, file)
            os.replace(temporary, self._path)
            self._saved = dict(self.offsets)
        except OSError:
            pass


class Follower:
    """Follows the event files of one run in ``folders``; in ``open_folders`` also files of processes that are not the run's."""

    def __init__(
        self,
        folders: list[str],
        open_folders: list[str],
        owners: Owners,
        home: str,
        run_id: str,
        since: float | None = None,
    ) -> None:
        self._folders = list(dict.fromkeys([*open_folders, *folders]))
        self._open = open_folders
        self._owners = owners
        self._since = time() if since is None else since
        self._state = State(home, run_id)
        self._names = Folders(self._state.root)
        self._files: dict[str, EventFile] = {}
        self._waiting: dict[str, float] = {}
        self._passed: set[str] = set()
        self._known: dict[str, tuple[int, list[str], list[str]]] = {}
        self._first_look = True
        self._sink: Sink | None = None
        self._begun = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.points = 0

    def start(self, writer: Writer) -> None:
        """Begins to follow, in a thread of its own."""
        self._sink = Sink(writer)
        self._look()
        self._thread = threading.Thread(target=self._run, name="fieldbook-tensorboard", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """The writers have ended: reads what is left, for at most ``seconds``."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                warn_once(
                    "tensorboard slow", "event files are still being read; take in the rest with import-tensorboard."
                )

    def _run(self) -> None:
        while True:
            ending = self._stop.is_set()  # asked before the look, so that the last look is whole
            began = monotonic()
            try:
                self._look()
                if ending:
                    self._settle()
                self._read()
            except Exception as error:
                warn_once("tensorboard", f"event files cannot be followed, please report this: {error!r}")
                return
            if ending:
                return
            self._stop.wait(max(INTERVAL_S, (monotonic() - began) * SHARE))

    # -- finding ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        fresh: list[str] = []
        budget = [FOLDERS_LIMIT]
        for folder in self._folders:
            self._walk(os.path.realpath(folder), 0, budget, fresh)
        first, self._first_look = self._first_look, False
        for path in sorted(fresh, key=age):
            if path in self._files or path in self._passed or path in self._waiting:
                continue
            if path in self._state.offsets:
                self._follow(path, self._state.offsets[path])
            elif first and not self._is_new(path):
                self._was_there(path)
            else:
                self._waiting[path] = monotonic()
        self._decide(final=False)

    def _walk(self, folder: str, depth: int, budget: list[int], fresh: list[str]) -> None:
        if depth > DEPTH_LIMIT or budget[0] <= 0:
            return
        budget[0] -= 1
        try:
            changed = os.stat(folder).st_mtime_ns
        except OSError:
            self._known.pop(folder, None)
            return
        known = self._known.get(folder)
        # A change within the clock's grain of the last look may have been missed: list once more.
        if known is None or known[0] != changed or time() - changed / 1e9 < 2 * INTERVAL_S:
            known = self._list(folder, changed)
            self._known[folder] = known
        fresh += known[2]
        for name in known[1]:
            self._walk(f"{folder.rstrip('/')}/{name}", depth + 1, budget, fresh)

    def _list(self, folder: str, changed: int) -> tuple[int, list[str], list[str]]:
        inner: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for count, entry in enumerate(entries):
                    if count >= ENTRIES_LIMIT:
                        break
                    if "tfevents" in entry.name:
                        if _NAME.search(entry.name) and entry.is_file():
                            files.append(entry.path)
                    elif entry.name.startswith(".") or entry.name in _PASSED_BY:
                        continue
                    elif entry.is_dir(follow_symlinks=False):
                        inner.append(entry.name)
        except OSError:
            pass
        return changed, inner, files

    def _is_new(self, path: str) -> bool:
        """Created since the command began: writers put the second of creation into the name."""
        named = _NAME.search(os.path.basename(path))
        if named is not None and named[1]:
            return int(named[1]) >= int(self._since) - 1
        try:
            return os.stat(path).st_ctime >= self._since - 1
        except OSError:
            return False

    def _was_there(self, path: str) -> None:
        """An older file is followed only if it grows, and from its present end."""
        try:
            size = os.stat(path).st_size
        except OSError:
            return
        self._follow(path, -size - 1)

    def _decide(self, final: bool) -> None:
        if not self._waiting:
            return
        answers = self._owners.of(list(self._waiting))
        for path, word in answers.items():
            open_here = any(path.startswith(os.path.realpath(folder).rstrip("/") + "/") for folder in self._open)
            waited = monotonic() - self._waiting[path] >= UNCLAIMED_S
            unclaimed = word == NOBODY and (final or waited or open_here or not self._owners.usable)
            if word == OURS or (word == STRANGER and open_here) or unclaimed:
                self._follow(path, 0)
            elif word in (FOREIGN, STRANGER):
                self._passed.add(path)
            else:
                continue
            del self._waiting[path]

    def _settle(self) -> None:
        self._decide(final=True)

    def _follow(self, path: str, offset: int) -> None:
        if len(self._files) >= FILES_LIMIT:
            warn_once("tensorboard files", f"more than {FILES_LIMIT} event files: the others are not followed.")
            self._passed.add(path)
            return
        self._files[path] = EventFile(path, offset)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._sink is not None
        for path, file in self._files.items():
            if file.offset < 0 and not self._grown(file):
                continue
            more = True
            while more:
                before = file.offset
                points = file.read(PIECE)
                if points and file.prefix is None:
                    file.prefix = self._names.prefix_of(os.path.dirname(path))
                    self._state.root = self._names.root
                if points and not self._begun:
                    self._begun = True
                    self._state.begin(self._sink)
                for point in points:
                    self._sink.put(point, file.prefix or "")
                self.points += len(points)
                more = file.offset > before and not file.given_up and file.size < 0
                self._state.offsets[path] = max(0, file.offset)
                self._state.save(self._sink)
        self._state.save(self._sink, whole=True)

    def _grown(self, file: EventFile) -> bool:
        """Whether a file that was there before has grown; it is then read from the first frame behind its old end."""
        was = -file.offset - 1
        try:
            if os.stat(file.path).st_size <= was:
                return False
            file.offset = boundary(file.path, was)
        except (OSError, Damaged):
            file.given_up = True
            return False
        return True


def is_event_file(name: str) -> bool:
    """Whether a file's name is one that TensorBoard reads."""
    return _NAME.search(name) is not None


def age(path: str) -> tuple[int, int, str]:
    """Sorts event files by the second of their creation, which writers put into the name; within it the outer ones first."""
    named = _NAME.search(os.path.basename(path))
    return (int(named[1]) if named is not None and named[1] else 1 << 40, path.count(os.sep), path)
