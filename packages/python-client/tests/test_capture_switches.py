"""Every capture has a switch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from capture_support import Captured, project, run_in
from fieldbook import journal
from fieldbook.capture.switches import SWITCHES, resolve
from support import Home, meta

EVERYTHING = set(SWITCHES)
DOCS = Path(__file__).resolve().parents[3] / "docs" / "capture.md"


@pytest.mark.parametrize(
    ("given", "on"),
    [
        (None, EVERYTHING),
        (True, EVERYTHING),
        (False, set()),
        ("0", set()),
        ("1", EVERYTHING),
        ("code, console", {"code", "console"}),
        (["code", "console"], {"code", "console"}),
        ("-console,-packages", EVERYTHING - {"console", "packages"}),
        ({"console": False, "gpus": False}, EVERYTHING - {"console", "gpus"}),
        ("code,-code,gpus", {"gpus"}),
        ("interval=30", EVERYTHING),
        ("exit_wait=0", EVERYTHING),
    ],
)
def test_the_three_ways_of_saying_it(given: Any, on: set[str]) -> None:
    """[CAP-1]"""
    assert set(resolve(given, None, {}).on) == on
    if isinstance(given, str):
        assert set(resolve(None, None, {"FIELDBOOK_CAPTURE": given}).on) == on


def test_later_places_hold(tmp_path: Path) -> None:
    """[CAP-1]"""
    (tmp_path / "config.json").write_text(json.dumps({"capture": {"console": False, "interval": 3}, "files": []}))
    home = str(tmp_path)
    assert "console" not in resolve(None, home, {})
    assert resolve(None, home, {}).interval == 3
    assert "console" in resolve({"console": True}, home, {})
    assert "console" not in resolve({"console": True}, home, {"FIELDBOOK_CAPTURE": "-console"})
    assert not resolve(True, home, {"FIELDBOOK_CAPTURE": "0"})
    assert resolve({"interval": 5}, home, {}).interval == 5
    assert resolve({"exit_wait": 5}, home, {}).interval == 3
    assert resolve({"exit_wait": 5}, home, {}).exit_wait == 5
    assert resolve({"exit_wait": 5}, home, {"FIELDBOOK_CAPTURE": "-console,exit_wait=0"}).exit_wait == 0
    assert resolve({"interval": 5}, home, {"FIELDBOOK_CAPTURE": "interval=0.5"}).interval == 0.5


def test_parts_of_the_code_go_with_it() -> None:
    """[CAP-1]"""
    switches = resolve("-code", None, {})
    assert [name for name in ("code", "diff", "untracked", "snapshot") if name in switches] == []
    assert "packages" in switches


@pytest.mark.parametrize(
    "wrong", ["nonsense", ["cod"], {"cod": True}, {"interval": 0}, "interval=x", "exit_wait=-1", {"console": "no"}, 7]
)
def test_mistakes_are_told(wrong: Any, home: Home) -> None:
    with pytest.raises((TypeError, ValueError), match="capture"):
        fieldbook.init("p", capture=wrong)
    assert not home.path.exists()


def test_a_mistake_in_the_environment_stops_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "command,nonsense")
    with fieldbook.init("p", capture=["command"]) as run:
        run.log({"a": 1})
    assert "nonsense" in capfd.readouterr().err
    assert home.only().of(journal.CAPTURE)[0]["section"] == "command"


SCRIPT = """
import argparse, sys
import fieldbook
parser = argparse.ArgumentParser(); parser.add_argument("--lr", type=float)
parser.add_argument("--config")
parser.parse_args()
with fieldbook.init("p") as run:
    print("to the console")
    run.log({"a": 1})
"""


@pytest.mark.parametrize("how", ["init", "environment"])
def test_everything_off_is_nothing_but_what_was_said(home: Home, tmp_path: Path, how: str) -> None:
    """[CAP-1]"""
    script = SCRIPT.replace('"p")', '"p", capture=False)') if how == "init" else SCRIPT
    folder = project(tmp_path / "x", {"t.py": script, "c.json": '{"a": 1}'}, commit=False)
    more = {"FIELDBOOK_CAPTURE": "0"} if how == "environment" else {}
    done = run_in(folder, home, "t.py", "--lr", "1", "--config", "c.json", **more)
    assert (done.returncode, done.stderr) == (0, "")
    assert {record.kind for record in home.only().records} == {
        journal.META,
        journal.DECLARE,
        journal.SCALARS,
        journal.CLOSE,
    }


@pytest.mark.parametrize("switches", ["{'command': False, 'code': False}", "False", "['system']"])
def test_the_first_record_says_no_more_than_is_wanted(home: Home, tmp_path: Path, switches: str) -> None:
    """[CAP-1]"""
    folder = project(tmp_path / "x", {"t.py": f"import fieldbook\nfieldbook.init('p', capture={switches})\n"})
    assert run_in(folder, home, "t.py", "--a-word-of-the-command-line").returncode == 0
    found = Captured(home)
    journals = [found.training, *([found.companion] if switches != "False" else [])]
    for one in journals:
        assert not {"argv", "cwd", "git"} & set(meta(one))
        assert meta(one)["pid"]
    assert all(b"--a-word-of" not in path.read_bytes() for path in home.path.rglob("*") if path.is_file())


#: What each switch leaves in a run, as (kind of trace, its beginning).
TRACES: dict[str, tuple[str, str]] = {
    "command": ("section", "command"),
    "code": ("section", "git"),
    "diff": ("file", "source/diff.patch"),
    "untracked": ("file", "source/untracked/"),
    "snapshot": ("file", "source/files/"),
    "params": ("attribute", "params/"),
    "config": ("file", "config/"),
    "environment": ("section", "machine"),
    "packages": ("section", "packages"),
    "variables": ("section", "variables"),
    "system": ("metric", "sys/"),
    "console": ("console", "to the console"),
}


def traces(captured: Captured) -> dict[str, list[str]]:
    companions = [captured.companion] if captured.journals("system") else []
    return {
        "section": list(captured.sections()),
        "file": list(captured.files()),
        "attribute": list(captured.attributes()),
        "metric": [path for one in companions for path, *_ in one.points()],
        "console": captured.console(),
    }


@pytest.mark.parametrize("off", [None, *TRACES])
def test_a_switch_takes_its_own_and_nothing_else(home: Home, tmp_path: Path, off: str | None) -> None:
    """[CAP-1]"""
    folder = project(tmp_path / "x", {"t.py": SCRIPT, "c.json": '{"a": 1}'})
    with (folder / "t.py").open("a") as file:
        file.write("# changed\n")
    (folder / "new.py").write_text("x = 1\n")
    more = {"FIELDBOOK_CAPTURE": f"-{off}"} if off else {}
    done = run_in(folder, home, "t.py", "--lr", "1", "--config", "c.json", OMP_NUM_THREADS="1", **more)
    assert done.returncode == 0, done.stderr
    found = traces(Captured(home))
    gone = {
        off,
        *(("diff", "untracked", "snapshot") if off == "code" else ("variables",) if off == "environment" else ()),
    }
    for name, (kind, start) in TRACES.items():
        assert any(text.startswith(start) for text in found[kind]) is (name not in gone), name


def test_the_documentation_has_every_switch() -> None:
    """[CAP-1]"""
    listed = re.findall(r"^\| `([a-z]+)` \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(SWITCHES)
