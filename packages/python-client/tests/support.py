"""What several tests need: reading a home's journals, and running scripts as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fieldbook import journal, journal_reader
from fieldbook.journal_reader import Journal

SOURCE = Path(__file__).resolve().parents[1] / "src"


class Home:
    """A FIELDBOOK_HOME and what its journals say."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[Path]:
        return sorted((self.path / "journals").glob("*/*/*.fbj"))

    def journals(self) -> list[Journal]:
        """All that have begun: a file without its header and META is just being created."""
        found = [journal_reader.read(data) for data in (file.read_bytes() for file in self.files()) if len(data) > 72]
        return [one for one in found if one.records]

    def only(self) -> Journal:
        """The journal of the only writer, which has not rotated."""
        (found,) = self.journals()
        return found

    def by_writer(self) -> dict[str, list[Journal]]:
        result: dict[str, list[Journal]] = {}
        for found in self.journals():
            result.setdefault(found.writer, []).append(found)
        return result


def meta(found: Journal) -> dict[str, Any]:
    assert found.records[0].kind == journal.META
    return found.records[0].data


def close(found: Journal) -> dict[str, Any] | None:
    """CLOSE, which must be the last record when it is there."""
    closes = found.of(journal.CLOSE)
    assert len(closes) <= 1
    if closes:
        assert found.records[-1].kind == journal.CLOSE
    return closes[0] if closes else None


def points(found: Journal) -> list[tuple[str, float, float]]:
    return [(path, step, value) for path, step, value, _, _ in found.points()]


def start(script: str, home: Home, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A Python process that runs ``script``; its stdin and stdout are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "FIELDBOOK_HOME": str(home.path), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_script(script: str, home: Home, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = start(script, home, *arguments, **environment)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def run_file(path: Path, argument: str, home: Home) -> tuple[int, str, str]:
    """The same for a script in a file, as spawned processes need it."""
    process = subprocess.run(
        [sys.executable, str(path), argument],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "FIELDBOOK_HOME": str(home.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


def locked(path: Path) -> bool:
    """Whether a reader would see the lock, as docs/formats/journal.md says: by device and inode in /proc/locks."""
    stat = path.stat()
    place = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    return any(place in line.split() for line in Path("/proc/locks").read_text().splitlines())
