"""``fieldbook.runs(project, query)``: what is found without an agent, in which order, and as what."""

from __future__ import annotations

import datetime
import json
import math
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

import fieldbook
from fieldbook import read_agent
from support import Home, run_script


def make(run_id: str, project: str = "Digits", **config: object) -> fieldbook.Run:
    run = fieldbook.init(project, run_id=run_id, config=config or None, capture=False)
    time.sleep(0.002)  # ids are not in the order of their times here; creation times in ms are
    return run


def ids(query: str = "", project: str = "digits") -> list[str]:
    return [run.id for run in fieldbook.runs(project, query)]


def test_finds_runs_of_a_project_the_newest_first(home: Home) -> None:
    """[RDB-1] By the name of the project as somebody types it, and by the query language."""
    for number, run_id in enumerate(("b", "c", "a")):
        with make(run_id, lr=10.0**-number) as run:
            run.log({"loss": 1.0 - number / 10}, step=number)
    with make("other", project="elsewhere"):
        pass
    assert ids() == ["a", "c", "b"]
    assert ids(project="  DIGITS ") == ["a", "c", "b"]
    assert ids("params/lr < 0.5 and status:finished") == ["a", "c"]
    assert ids("loss.min > 0.85") == ["c", "b"]
    assert ids("status:running") == []


def test_is_a_sequence(home: Home) -> None:
    """[RDB-1] Length, index, slice and iteration."""
    for run_id in ("a", "b", "c"):
        make(run_id).finish()
    found = fieldbook.runs("digits")
    assert len(found) == 3
    assert [run.id for run in found] == ["c", "b", "a"]
    assert found[0].id == "c"
    assert found[-1].id == "a"
    assert [run.id for run in found[1:]] == ["b", "a"]
    assert found.source == "disk"
    assert repr(found) == "<fieldbook runs: 3, from the journals>"


def test_to_dicts(home: Home) -> None:
    """[RDB-2] Fields, attributes and metrics in one flat dict, or the columns asked for."""
    with make("a", lr=0.1, opt="adam", layers=["conv", "dense"]) as run:
        run["when"] = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
        run["status"] = "my own"
        run.tags.add("x")
        for step, value in enumerate((0.5, math.nan, 0.25)):
            run.log({"loss": value}, step=step)
        run.log({"broken": math.inf}, step=0)
    (row,) = fieldbook.runs("digits").to_dicts()
    assert row["status"] == "finished"
    assert row["tags"] == ["x"]
    assert row["created"].tzinfo is datetime.timezone.utc
    assert {
        path: row[path]
        for path in ("params/lr", "params/opt", "params/layers", "loss", "loss.min", "loss.max", "loss.count")
    } == {
        "params/lr": 0.1,
        "params/opt": "adam",
        "params/layers": ["conv", "dense"],
        "loss": 0.25,
        "loss.min": 0.25,
        "loss.max": 0.5,
        "loss.count": 3,
    }
    assert (row["broken"], row["broken.min"]) == (math.inf, None)
    assert row["when"] == datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
    columns = ["name", "a:status", "m:loss.maxStep", "loss.nonFinite", "nothing"]
    assert fieldbook.runs("digits").to_dicts(columns) == [
        {"name": "a", "a:status": "my own", "m:loss.maxStep": 0.0, "loss.nonFinite": 1, "nothing": None}
    ]
    with pytest.raises(TypeError, match="columns must be a list"):
        fieldbook.runs("digits").to_dicts("name")


def test_lists_leave_the_metrics_of_the_machine_out(home: Home) -> None:
    """[RDB-1] As an agent does; a run from a list has them all the same when they are asked for."""
    with fieldbook.init("p") as run:
        run.log({"loss": 0.5, "sys/machine/cpu_percent": 40.0})
    (found,) = fieldbook.runs("p")
    assert [key for key in found.to_dict() if key.startswith("sys/")] == []
    assert len(fieldbook.runs("p", "sys/machine/cpu_percent > 1")) == 0
    assert found["sys/machine/cpu_percent"].values() == [40.0]
    assert found["sys/machine/cpu_percent"].summary["last"] == 40.0
    assert "sys/machine/cpu_percent" in fieldbook.run(run.id).metrics
    with pytest.raises(KeyError):
        found["sys/machine/nothing"].values()


def test_to_pandas(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RDB-2] A data frame where pandas is; without it, words that say what is missing."""
    make("a", lr=0.1).finish()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        fieldbook.runs("digits").to_pandas()
    monkeypatch.undo()


def test_to_pandas_with_pandas(home: Home) -> None:
    """[RDB-2] One row a run."""
    pandas = pytest.importorskip("pandas")
    make("a", lr=0.1).finish()
    make("b", lr=0.2).finish()
    frame = fieldbook.runs("digits").to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["params/lr"]) == [0.2, 0.1]


def test_mistakes(home: Home) -> None:
    """[RDB-3] A project that is not there, a query that is none: at once, and with what would be right."""
    make("a").finish()
    with pytest.raises(ValueError, match=r"no project 'didgits' .*there are: digits"):
        fieldbook.runs("didgits")
    with pytest.raises(ValueError, match="nothing before"):
        fieldbook.runs("digits", "and")
    with pytest.raises(TypeError, match="query must be a string"):
        fieldbook.runs("digits", 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="project must be a string"):
        fieldbook.runs(None)  # type: ignore[arg-type]


def test_another_home_and_folders_of_its_config(home: Home, tmp_path: Path) -> None:
    """[RDB-3] `home=` reads another field book; journals that its agent also takes in are read, a copy of one once."""
    with make("a") as run:
        run["loss"].extend([1.0, 2.0])
    make("b").finish()
    other = tmp_path / "other"
    (other / "journals").mkdir(parents=True)
    assert fieldbook.runs("digits", home=home.path).source == "disk"
    with pytest.raises(ValueError, match="there are: none"):
        fieldbook.runs("digits", home=other)
    (other / "config.json").write_text(json.dumps({"journals": [str(home.path / "journals")]}))
    shutil.copytree(home.path / "journals" / "digits" / "a", other / "journals" / "digits" / "a")
    found = fieldbook.runs("digits", home=other)
    assert [run.id for run in found] == ["b", "a"]
    assert (found[1].metrics["loss"]["count"], found[1]["loss"].values()) == (2, [1.0, 2.0])


def test_status_of_writers_without_a_last_word(home: Home) -> None:
    """[RDB-4] The kernel says who lives: a running script, a killed one, a preempted one."""
    (home.path / "journals").mkdir(parents=True)
    script = (
        "import fieldbook, os, sys\n"
        "run = fieldbook.init('digits', run_id=sys.argv[1], capture=False)\n"
        "run.log({'x': 1.0}, step=0)\n"
        "if sys.argv[1] == 'preempted': run._record(7, {'status': 'preempted', 'signal': 15, 'reason': None})\n"
        "os._exit(9)"
    )
    for run_id in ("killed", "preempted"):
        assert run_script(script, home, run_id)[0] == 9
    alive = make("alive")
    failed = make("failed")
    failed._end_with(RuntimeError("no"))
    assert {run.id: run.status for run in fieldbook.runs("digits")} == {
        "killed": "crashed",
        "preempted": "preempted",
        "alive": "running",
        "failed": "failed",
    }
    alive.finish()
    assert fieldbook.run("alive").status == "finished"
    assert fieldbook.runs("digits", "status:running").to_dicts() == []


def test_what_only_the_agent_knows_is_said(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """[RDB-5] A home with a store and no agent: edits and other machines' runs are missing, and that is told once."""
    make("a").finish()
    fieldbook.runs("digits")
    assert capsys.readouterr().err == ""
    (home.path / "store").mkdir()
    (home.path / "store" / "CURRENT").write_text("x")
    fieldbook.runs("digits")
    fieldbook.runs("digits")
    assert capsys.readouterr().err.count("'fieldbook up' starts it") == 1


@pytest.mark.parametrize(
    "presence",
    [
        "",
        "[]",
        '{"pid": 1}',
        '{"pid": 1, "url": "http://example.org:80"}',
        '{"pid": 999999999, "url": "http://127.0.0.1:1"}',
        '{"pid": 1, "url": "http://127.0.0.1:1"}',
    ],
)
def test_an_agent_that_is_gone_is_none(home: Home, presence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RDB-5] Whatever agent.json says: what does not answer, or is elsewhere, is not asked, and the journals are read."""
    make("a").finish()
    (home.path / "agent.json").write_text(presence)
    (home.path / "agent.token").write_text("secret")
    asked = []
    real = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda place, *rest: asked.append(place) or real(place, *rest))
    assert read_agent.connect(str(home.path)) is None
    assert {host for host, _ in asked} <= {"127.0.0.1"}
    assert fieldbook.runs("digits").source == "disk"
