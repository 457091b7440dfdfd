"""The git checkout around a folder: which commit, how it differs, where it came from.

Everything is asked of the program ``git``, never with its optional locks, so that a capture cannot disturb a person who
works in the same checkout. What cannot be had (no git, a refused folder, a repository too large for the time there is) is
left out and told in ``notes``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable

from .. import environment
from ..redaction import redact_lines, redact_remote, redact_source, redact_text
from ..secret_files import without_secret_files
from .program import Output, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: For one command. A cold repository of a million files takes longer, and then says so in a note.
SECONDS = 10.0
#: A patch beyond this is data that somebody forgot to ignore.
PATCH_BYTES = 8 * 1024 * 1024
STATUS_BYTES = 32 * 1024 * 1024
LISTED = 200
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Checkout:
    """One git checkout. Attributes: ``root``, and ``untracked``, ``changed``: paths below it once :meth:`describe` ran."""

    def __init__(self, folder: str, unwanted: Callable[[], bool] | None = None, seconds: float = SECONDS) -> None:
        self.folder = folder
        self.root: str | None = None
        self.changed: list[str] = []
        self.untracked: list[str] = []
        self.dirty: bool | None = None
        self.notes: list[str] = []
        self._unwanted = unwanted
        self._seconds = seconds
        self._born = True
        self._index: str | None = None

    def describe(self) -> dict[str, Any] | None:
        """Facts of the checkout, None outside of any: ``commit``, ``message``, ``author``, ``date``, ``branch``,
        ``detached``, ``remotes``, ``upstream``, ``ahead``, ``behind``, ``dirty``, ``changed``, ``untracked``,
        ``submodules``, ``notes``."""
        said = self._git("rev-parse", "--show-toplevel", folder=self.folder)
        if said is None or said.status != 0:
            return self._without_git(said)
        self.root = said.text.rstrip("\n")
        facts: dict[str, Any] = {"root": self.root}
        self._head(facts)
        self._status(facts)
        facts["remotes"] = self._remotes()
        if os.path.exists(os.path.join(self.root, ".gitmodules")):
            facts["submodules"] = self._submodules()
        if os.path.isfile(os.path.join(self.root, ".git")):
            facts["worktree"] = True
        facts["notes"] = self.notes
        return facts

    def patch(self) -> bytes | None:
        """``git diff HEAD --binary`` of the whole checkout with secrets redacted; None when there is no difference or it
        is too large. Adds to ``notes`` what a reader of the patch must know."""
        if self.root is None:
            return None
        # `git diff` writes what it learns about unchanged files into the index, and somebody may be using that.
        with tempfile.TemporaryDirectory(prefix="fieldbook-") as folder:
            self._index = self._copy_of_index(folder)
            try:
                return self._patch()
            finally:
                self._index = None

    def _copy_of_index(self, folder: str) -> str | None:
        said = self._git("rev-parse", "--git-path", "index")
        if said is None or said.status != 0:
            return None
        copy = os.path.join(folder, "index")
        try:
            # With its time: by that git knows of which files size and time alone say nothing.
            shutil.copy2(os.path.join(self.root or "", said.text.rstrip("\n")), copy)
        except OSError:
            return None  # no index yet
        return copy

    def _patch(self) -> bytes | None:
        base = "HEAD" if self._born else _EMPTY_TREE
        plain = ["diff", base, "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short"]
        said = self._git(*plain, "--binary", limit=PATCH_BYTES)
        if said is not None and said.trouble == "size":
            said = self._git(*plain, limit=PATCH_BYTES)
            if said is not None and said.trouble is None:
                self.notes.append("the patch is without the content of binary files: with it, it was too large")
        if said is None or said.status != 0:
            why = f"larger than {PATCH_BYTES >> 20} MiB" if said is not None and said.trouble == "size" else _why(said)
            self.notes.append(f"no patch: {why}")
            return None
        patch, left_out = without_secret_files(said.out)
        if left_out:
            names = ", ".join(_shown(name) for name in left_out[:10])
            self.notes.append(f"the patch is without files that may hold secrets: {names}")
        patch, places = redact_source(patch)
        if places:
            self.notes.append(f"{places} secrets were redacted in the patch; it may not apply there")
        return patch or None

    def tracked(self, paths: list[str]) -> set[str]:
        """Which of these absolute paths git has under version control."""
        if self.root is None or not paths:
            return set()
        said = self._git("ls-files", "-z", "--", *(os.path.relpath(path, self.root) for path in paths))
        if said is None or said.status != 0:
            return set()
        return {os.path.join(self.root, os.fsdecode(name)) for name in said.out.split(b"\0") if name}

    # -- parts ------------------------------------------------------------------------------------------------------

    def _git(self, *arguments: str, folder: str | None = None, limit: int = STATUS_BYTES) -> Output | None:
        environ = {
            # A repository named by the environment of a git hook is not the one of the folder.
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            **({"GIT_INDEX_FILE": self._index} if self._index else {}),
        }
        config = ["-c", "core.quotepath=false", "-c", "core.fsmonitor=false", "-c", "color.ui=false"]
        return run(
            ["git", *config, *arguments],
            folder=folder or self.root,
            seconds=self._seconds,
            limit=limit,
            environ=environ,
            unwanted=self._unwanted,
        )

    def _without_git(self, said: Output | None) -> dict[str, Any] | None:
        """The program is missing or refuses: what the files of the repository say."""
        known = environment.git(self.folder)
        if known is None:
            return None
        note = "git is not installed" if said is None else _why(said)
        if said is not None and "dubious ownership" in said.error:
            note = "git refuses the folder of another owner; see safe.directory in `git help config`"
        self.notes.append(f"{note}: whether the tree is dirty is not known")
        return {**known, "dirty": None, "notes": self.notes}

    def _head(self, facts: dict[str, Any]) -> None:
        said = self._git("log", "-1", "--no-show-signature", "--format=%H%x00%an%x00%ae%x00%aI%x00%cI%x00%B")
        if said is None or said.status != 0:
            self._born = not (
                said is not None and ("does not have any commits" in said.error or "bad revision" in said.error)
            )
            facts["commit"] = None
            self.notes.append("there is no commit yet" if not self._born else f"the commit is not known: {_why(said)}")
            return
        commit, name, email, date, committed, message = (said.text.split("\0", 5) + [""] * 6)[:6]
        facts["commit"] = commit
        facts["message"] = redact_lines(message.strip()[:4096])
        facts["author"] = f"{name} <{email}>"
        facts["date"] = date
        if committed != date:
            facts["committed"] = committed

    def _status(self, facts: dict[str, Any]) -> None:
        said = self._git("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all")
        if said is None or said.trouble or said.status != 0:
            # Looking for untracked files walks every folder; changes of known files need only the index.
            self.notes.append(f"untracked files are not known: {_why(said)}")
            said = self._git("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no")
        if said is None or said.status != 0:
            self.notes.append(f"whether the tree is dirty is not known: {_why(said)}")
            facts["dirty"] = None
            return
        words = iter(os.fsdecode(said.out).split("\0"))
        for word in words:
            kind = word[:2]
            if kind == "# ":
                self._branch(word[2:], facts)
            elif kind == "1 ":
                self._changed(word, 8)
            elif kind == "2 ":
                self._changed(word, 9)
                next(words, None)  # where it was renamed from
            elif kind == "u ":
                self._changed(word, 10)
            elif kind == "? ":
                self.untracked.append(word[2:])
        self.dirty = bool(self.changed or self.untracked)
        facts["dirty"] = self.dirty
        facts["changed"] = [_shown(path) for path in self.changed[:LISTED]]
        facts["changed_files"] = len(self.changed)
        facts["untracked"] = [_shown(path) for path in self.untracked[:LISTED]]
        facts["untracked_files"] = len(self.untracked)

    def _changed(self, word: str, fields: int) -> None:
        parts = word.split(" ", fields)
        if len(parts) > fields:
            self.changed.append(parts[fields])
            if parts[2][:1] == "S" and parts[2][2:] != "..":
                self.notes.append(f"submodule {_shown(parts[fields])} has changes that no patch holds")

    def _branch(self, line: str, facts: dict[str, Any]) -> None:
        key, _, value = line.partition(" ")
        if key == "branch.head":
            facts["detached"] = value == "(detached)"
            facts["branch"] = None if facts["detached"] else value
        elif key == "branch.upstream":
            facts["upstream"] = value
        elif key == "branch.ab":
            ahead, _, behind = value.partition(" ")
            facts["ahead"], facts["behind"] = abs(int(ahead)), abs(int(behind))

    def _remotes(self) -> dict[str, str]:
        said = self._git("config", "-z", "--get-regexp", r"^remote\..*\.url$")
        remotes: dict[str, str] = {}
        for entry in said.text.split("\0") if said is not None and said.status == 0 else ():
            key, _, url = entry.partition("\n")
            if url:
                remotes.setdefault(key[7:-4], redact_remote(url)[:1024])
        return dict(list(remotes.items())[:20])

    def _submodules(self) -> list[dict[str, str]]:
        said = self._git("submodule", "status", "--recursive")
        if said is None or said.status != 0:
            self.notes.append(f"submodules are not known: {_why(said)}")
            return []
        lines = [(line[:1], line[1:].split(" ")) for line in said.text.splitlines()]
        states = {" ": "as committed", "-": "not checked out", "+": "another commit", "U": "in conflict"}
        return [
            {"path": words[1], "commit": words[0], "state": states.get(mark, mark)}
            for mark, words in lines[:LISTED]
            if len(words) > 1
        ]


def describe(folder: str, unwanted: Callable[[], bool] | None = None) -> dict[str, Any] | None:
    """Facts of the git checkout around ``folder``, None when there is none. See :meth:`Checkout.describe`."""
    return Checkout(folder, unwanted).describe()


def warning_of(facts: dict[str, Any]) -> str | None:
    """What a person should hear at once about the state of their code; None when it is as committed."""
    if not facts.get("dirty"):
        return None
    parts = []
    if facts["changed_files"]:
        parts.append(_count(facts["changed_files"], "changed file"))
    if facts["untracked_files"]:
        parts.append(_count(facts["untracked_files"], "untracked file"))
    commit = str(facts["commit"])[:10] if facts.get("commit") else "an empty repository"
    return f"the code is not what is committed: {' and '.join(parts)} on top of {commit}. The differences are recorded."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()[:400]


def _why(said: Output | None) -> str:
    if said is None:
        return "git is not installed"
    if said.trouble == "time":
        return "git took too long"
    if said.trouble == "size":
        return "git said too much"
    return redact_text((said.error.splitlines() or [f"git ended with {said.status}"])[0][:300])
