"""What tests of captures need: projects in git, scripts with everything captured, and what their runs then carry."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fieldbook import journal, journal_reader
from fieldbook.journal_reader import Journal
from support import SOURCE, Home, meta

linux = sys.platform == "linux"


def git(folder: Path, *arguments: str) -> str:
    identity = [
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.org",
        "-c",
        "init.defaultBranch=trunk",
        "-c",
        "protocol.file.allow=always",
    ]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def project(folder: Path, files: dict[str, str], commit: bool = True) -> Path:
    """A git repository with these files; committed unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    write(folder, files)
    if commit:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "--allow-empty", "-m", "the first commit")
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Polls until something is true; the test fails when it never is."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def readable(home: Home) -> list[Journal]:
    """Journals that have begun; one that is just being created is not there yet."""
    found = []
    for file in home.files():
        try:
            one = journal_reader.read(file.read_bytes())
        except journal_reader.JournalCorrupt:
            if file.stat().st_size >= journal.HEADER_SIZE:
                raise
            continue
        if one.records:
            found.append(one)
    return found


class Captured:
    """What a home's only run carries, by its training and its companion."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def journals(self, role: str | None) -> list[Journal]:
        return [one for one in readable(self._home) if meta(one).get("role") == role]

    @property
    def training(self) -> Journal:
        (found,) = self.journals(None)
        return found

    @property
    def companion(self) -> Journal:
        """The companion's journal, once it is complete."""

        def complete() -> list[Journal]:
            return [one for one in self.journals("system") if one.of(journal.CLOSE)]

        (found,) = until(complete)
        return found

    def sections(self) -> dict[str, dict[str, Any]]:
        """The last record of each section."""
        both = [self.training, *([self.companion] if self.journals("system") else [])]
        return {row["section"]: row["data"] for one in both for row in one.of(journal.CAPTURE)}

    def files(self) -> dict[str, bytes]:
        """Contents by attribute path."""
        found: dict[str, bytes] = {}
        for one in self._home.journals():
            for row in one.of(journal.FILE):
                (place,) = self._home.path.glob(f"journals/*/*/{one.writer}.files/{row['spool']}")
                found[row["path"]] = place.read_bytes()
        return found

    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in self._home.journals():
            found.update(one.attributes())
        return found

    def console(self, stream: int = journal.STDOUT) -> list[str]:
        rows = [
            row
            for row in self.training.of(journal.CONSOLE)
            if row["stream"] == stream and not row["flags"] & journal.CONSOLE_OPEN
        ]
        return "\n".join(row["text"] for row in rows).split("\n") if rows else []


def environment(home: Home, **more: str) -> dict[str, str]:
    """Of a process with everything captured."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FIELDBOOK_CAPTURE", "CI", "container")}
    return {
        **kept,
        "PYTHONPATH": str(SOURCE),
        "FIELDBOOK_HOME": str(home.path),
        "PYTHONWARNINGS": "error::SyntaxWarning",
        **more,
    }


def run_in(folder: Path, home: Home, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """``python arguments…`` in a folder with everything captured; its stderr is complete when this returns."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def processes_of(home: Home) -> list[int]:
    """Pids of companions that write below a home."""
    found = []
    for one in readable(home):
        if meta(one).get("role") == "system":
            pid, start = meta(one)["pid"], meta(one)["pid_start"]
            try:
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                threads = len(os.listdir(f"/proc/{pid}/task"))
            except OSError:
                continue
            # Of a process that was killed one thread may still be ending, and holds its files.
            if int(words[19]) == start and (words[0] not in "ZX" or threads > 1):
                found.append(pid)
    return found
