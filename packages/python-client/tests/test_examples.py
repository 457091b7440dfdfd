"""The digits example: its recorded runs, and a short training with the standard library alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fieldbook import journal_reader
from support import Home, close, meta

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/digits"


def test_the_recorded_runs_are_whole_and_neutral() -> None:
    files = sorted((EXAMPLE / "recorded").glob("*/*/*.fbj"))
    assert len(files) == 14
    assert sum(file.stat().st_size for file in files) < 300_000
    statuses = []
    for file in files:
        found = journal_reader.read(file.read_bytes())
        assert (found.state, found.unknown, found.malformed) == ("clean", 0, 0)
        assert file.parts[-3:-1] == (meta(found)["project_id"], meta(found)["run"])
        assert (meta(found)["user"], meta(found)["host"]) in (("ada", "workstation"), ("grace", "laptop"))
        assert not {"argv", "cwd", "git", "boot"} & set(meta(found))
        statuses.append((close(found) or {})["status"])
        assert len(found.values("batch/loss")) > 20
    assert statuses.count("failed") == 1


def test_training_with_the_standard_library_learns_and_records(home: Home) -> None:
    arguments = [sys.executable, "-B", str(EXAMPLE / "train_stdlib.py"), "--epochs", "2", "--hidden", "8"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = home.only()
    assert found.values("train/loss")[1] < found.values("train/loss")[0]
    assert found.values("val/accuracy")[-1] > 0.7
    assert found.attributes()["params/hidden"] == 8
    assert (close(found) or {})["status"] == "finished"
