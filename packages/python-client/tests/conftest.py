"""Every test has a home of its own, and no variable of the machine's launcher or of another run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fieldbook import console
from support import Home

_LAUNCHER = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "SLURM_",
    "OMPI_",
    "PMI_",
    "TORCHELASTIC",
    "MASTER_",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in list(os.environ):
        if name.startswith("FIELDBOOK_") or name.startswith(_LAUNCHER):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FIELDBOOK_HOME", str(tmp_path / "home"))
    # Only what costs no second process and leaves the streams alone; tests of captures say what they want.
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "command")
    console._said.clear()
    return Home(tmp_path / "home")
