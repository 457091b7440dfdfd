"""The spool folder, and the internal seams that put files, objects, console and captures on the record."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from fieldbook import journal, spool
from support import Home, points

DATA = os.urandom(3_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "w.files")


def test_bytes_and_files_are_complete_when_keep_returns(folder: str, tmp_path: Path) -> None:
    """[CLT-1]"""
    source = tmp_path / "a model.pt"
    source.write_bytes(DATA)
    of_bytes = spool.keep(folder, DATA, "x.bin")
    of_file = spool.keep(folder, source, "a model.pt", digest=True)
    source.write_bytes(b"rewritten")
    for kept in (of_bytes, of_file):
        assert (Path(folder) / kept["spool"]).read_bytes() == DATA
        assert kept["sha256"] == hashlib.sha256(DATA).hexdigest()
        assert kept["size"] == len(DATA)
    assert of_file["name"] == "a model.pt"
    assert of_file["spool"].endswith("-a_model.pt")
    assert of_bytes["mtime"] is None
    assert len(os.listdir(folder)) == 2


def test_names_fit_every_file_system(folder: str) -> None:
    """[CLT-1]"""
    for name in ("", "..", ".hidden", "ü" * 300 + ".pt", "a/b/c.txt", "x" * 500 + ".tar.gz"):
        kept = spool.keep(folder, b"1", name)
        assert kept["spool"] in os.listdir(folder)
        assert len(kept["spool"]) <= 120
        assert kept["spool"].isascii()
        assert kept["name"] == name
    assert kept["spool"].endswith(".tar.gz")


@pytest.mark.parametrize("refused", ["clone", "copy_file_range", "both", "short"])
def test_every_way_of_copying_gives_the_same_bytes(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """[CLT-1]"""
    source = tmp_path / "f"
    source.write_bytes(DATA)
    monkeypatch.setattr(spool, "_clone", lambda *_: False)
    real = os.copy_file_range
    if refused in ("copy_file_range", "both"):
        monkeypatch.delattr(os, "copy_file_range")
    if refused == "short":
        # The kernel copies a part and then says that it cannot: the rest is copied by hand.
        calls: list[int] = []

        def short(source: int, target: int, count: int) -> int:
            calls.append(count)
            if len(calls) > 1:
                raise OSError(errno.EXDEV, "not across file systems")
            return real(source, target, 1000)

        monkeypatch.setattr(os, "copy_file_range", short)
    kept = spool.keep(folder, source, "f")
    assert (Path(folder) / kept["spool"]).read_bytes() == DATA


def test_a_file_without_a_size_is_read_to_its_end(folder: str) -> None:
    kept = spool.keep(folder, "/proc/self/status", "status")
    assert b"Pid:" in (Path(folder) / kept["spool"]).read_bytes()
    assert kept["size"] > 0


def test_linked_files_outlive_their_rotation(folder: str, tmp_path: Path) -> None:
    """[CLT-1]"""
    source = tmp_path / "last.ckpt"
    source.write_bytes(DATA)
    kept = spool.keep(folder, source, "last.ckpt", link=True)
    place = Path(folder) / kept["spool"]
    assert place.stat().st_ino == source.stat().st_ino
    source.unlink()
    source.write_bytes(b"the next checkpoint")
    assert place.read_bytes() == DATA


def test_trouble_of_the_machine_is_told_once_and_never_raised(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """[CLT-2]"""
    source = tmp_path / "f"
    source.write_bytes(DATA)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "_write_all", full)
    for _ in range(3):
        kept = spool.keep(folder, DATA, "x.bin")
        assert (kept["spool"], kept["sha256"], kept["lost"], kept["size"]) == (None, None, "ENOSPC", len(DATA))
    assert os.listdir(folder) == []
    assert capfd.readouterr().err.count("No space left") == 1
    monkeypatch.undo()
    assert spool.keep(folder, tmp_path / "rotated away", "x")["lost"] == "vanished"


def test_the_seams_write_what_the_journal_says(home: Home, tmp_path: Path) -> None:
    """[CLT-1]"""
    source = tmp_path / "model.pt"
    source.write_bytes(DATA)
    run = fieldbook.init("p", capture=False)
    run._attach("model", source, kind="model", meta={"framework": "torch"}, travel="request")
    run._attach("source/code.patch", b"--- a\n+++ b\n", mime="text/x-patch", kind="source")
    run._capture("git", {"commit": "abc", "dirty": True})
    run._console(journal.STDERR, "a\nb")
    run._object("samples", None, {"kind": "text", "text": "one"})
    run._object("samples", 7, {"kind": "text", "text": "two"})
    run._object("samples", None, {"kind": "text", "text": "three"})
    run.log({"loss": 1})
    with pytest.raises(ValueError, match="series of objects"):
        run.log({"samples": 1})
    with pytest.raises(ValueError, match="series of numbers"):
        run._object("loss", None, {"kind": "text", "text": "x"})
    run.finish()
    found = home.only()
    first, second = found.of(journal.FILE)
    folder = next((home.path / "journals/p" / run.id).glob("*.files"))
    assert folder.name == f"{found.writer}.files"
    assert (folder / first["spool"]).read_bytes() == DATA
    assert (first["path"], first["name"], first["kind"], first["meta"], first["travel"], first["sha256"]) == (
        "model",
        "model.pt",
        "model",
        {"framework": "torch"},
        "request",
        None,
    )
    assert (second["name"], second["size"], second["mime"]) == ("code.patch", 12, "text/x-patch")
    sections = {row["section"]: row["data"] for row in found.of(journal.CAPTURE)}
    assert sections["git"] == {"commit": "abc", "dirty": True}
    assert found.of(journal.CONSOLE)[0]["text"] == "a\nb"
    assert [(row["step"], row["text"]) for row in found.of(journal.OBJECT)] == [(0, "one"), (7, "two"), (8, "three")]
    assert points(found) == [("loss", 0, 1)]


def test_long_console_texts_become_several_records(home: Home) -> None:
    text = "\n".join(f"line {number} äöü" for number in range(40_000))
    with fieldbook.init("p", capture=False) as run:
        run._console(journal.STDOUT, text)
    pieces = [row["text"] for row in home.only().of(journal.CONSOLE)]
    assert len(pieces) > 2
    assert "\n".join(pieces) == text


def test_disabled_runs_leave_nothing(home: Home) -> None:
    with fieldbook.init("p", mode="disabled") as run:
        assert run._attach("x", b"1") is None
        run._capture("git", {})
        run._console(1, "x")
        run._object("x", None, {"kind": "text", "text": ""})
    assert not home.path.exists()
