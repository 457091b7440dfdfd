"""run.upload_files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fieldbook
from fieldbook import journal
from support import Home


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("out/a.png", "out/deep/b.png", "out/deep/c.txt", "other/a.png"):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    return tmp_path


def kept(home: Home) -> list[tuple[str, str, str | None]]:
    folder = next((home.path / "journals/p").glob("*/*.files"))
    return [
        (record["path"], (folder / record["spool"]).read_text(), record["travel"])
        for record in home.only().of(journal.FILE)
    ]


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        ("out/*.png", {"to/a.png": "out/a.png"}),
        ("out/**/*.png", {"to/a.png": "out/a.png", "to/deep/b.png": "out/deep/b.png"}),
        ("out/*/*", {"to/deep/b.png": "out/deep/b.png", "to/deep/c.txt": "out/deep/c.txt"}),
        ("*/a.png", {"to/other/a.png": "other/a.png", "to/out/a.png": "out/a.png"}),
        ("out/deep", {"to/b.png": "out/deep/b.png", "to/c.txt": "out/deep/c.txt"}),
        (Path("out/deep/b.png"), {"to/b.png": "out/deep/b.png"}),
        (["out/a.png", Path("out/deep/c.txt")], {"to/out/a.png": "out/a.png", "to/out/deep/c.txt": "out/deep/c.txt"}),
    ],
    ids=str,
)
def test_names_are_relative(home: Home, out: Path, files: Any, paths: dict[str, str]) -> None:
    """[CLT-15]"""
    with fieldbook.init("p", capture=False) as run:
        assert run.upload_files(files, to="to", travel="never") == list(paths)
    assert kept(home) == [(path, content, "never") for path, content in paths.items()]


def test_absolute_globs_and_files_elsewhere(
    home: Home, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """[CLT-15]"""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with fieldbook.init("p", capture=False) as run:
        assert run.upload_files(f"{out}/out/**/*.txt") == ["files/deep/c.txt"]
        assert run["x"].upload_files([out / "out/a.png"]) == ["x/a.png"]
        with pytest.raises(ValueError, match=r"would both lie under 'y/a\.png'"):
            run["y"].upload_files([out / "out/a.png", out / "other/a.png"])


def test_what_matches_nothing_or_has_gone_is_told(home: Home, out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """[CLT-15]"""
    (out / "empty").mkdir()
    with fieldbook.init("p", capture=False) as run:
        assert run.upload_files("out/*.jpg") == []
        assert run.upload_files("empty") == []
        assert run.upload_files(["out/a.png", "out/rotated-away.png"], to="x") == ["x/out/a.png"]
    said = capfd.readouterr().err
    assert "no file matches 'out/*.jpg'" in said
    assert "'empty' has no files" in said
    assert "'out/rotated-away.png' is gone" in said


@pytest.mark.parametrize(
    ("files", "arguments", "error", "says"),
    [
        ("no/such/file", {}, ValueError, "files: there is no file or folder"),
        ("", {}, ValueError, "files must not be empty"),
        (3, {}, TypeError, "files must be"),
        ([3], {}, TypeError, r"files\[0\]"),
        (["out"], {}, ValueError, r"files\[0\] is the folder"),
        ("out", {"to": ""}, ValueError, "to cannot"),
        ("out", {"travel": "x"}, ValueError, "travel"),
    ],
    ids=str,
)
def test_mistakes(home: Home, out: Path, files: Any, arguments: Any, error: type[Exception], says: str) -> None:
    """[CLT-8]"""
    for mode in ("journal", "disabled"):
        with fieldbook.init("p", mode=mode, capture=False) as run, pytest.raises(error, match=says):
            run.upload_files(files, **arguments)


def test_odd_names_are_paths_all_the_same(home: Home, out: Path) -> None:
    """[CLT-15]"""
    (out / "odd").mkdir()
    (out / "odd/a\nb ü.txt").write_text("x")
    with fieldbook.init("p", capture=False) as run:
        assert run.upload_files("odd") == ["files/a_b ü.txt"]
    assert home.only().of(journal.FILE)[0]["name"] == "a\nb ü.txt"
