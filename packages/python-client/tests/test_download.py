"""run[path].download, before an agent has taken anything in."""

from __future__ import annotations

from pathlib import Path

import pytest

import fieldbook
from support import Home


def test_what_was_kept_comes_back(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with fieldbook.init("p", run_id="r", capture=False) as run:
        run["model"].upload(b"old", name="model.pt")
        run["model"].upload(b"new", name="model.pt")
        assert run["model"].download(folder) == str(folder / "model.pt")
        assert run["model"].download(tmp_path / "deep/copy.pt") == str(tmp_path / "deep/copy.pt")
    assert (folder / "model.pt").read_bytes() == b"new"
    assert (tmp_path / "deep/copy.pt").read_bytes() == b"new"
    with fieldbook.init("p", run_id="r", capture=False) as again:
        assert Path(again["model"].download(f"{tmp_path}/more/")).read_bytes() == b"new"


def test_what_nobody_here_has(home: Home, tmp_path: Path) -> None:
    with fieldbook.init("p", capture=False) as run:
        with pytest.raises(FileNotFoundError, match="'model'"):
            run["model"].download(tmp_path)
        run["model"].upload(b"1")
        with pytest.raises(ValueError, match="destination"):
            run["model"].download("")
