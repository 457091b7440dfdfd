"""run.child and init(parent=…)."""

from __future__ import annotations

import os

import pytest

import fieldbook
from support import Home, close, meta, points, run_script


def test_children_are_runs_that_name_their_parent(home: Home) -> None:
    """[CLT-17]"""
    with fieldbook.init("p", name="sweep", capture=False) as run:
        for fold in range(2):
            with run.child(name=f"fold {fold}", config={"fold": fold}, capture=False) as child:
                child.log({"acc": fold})
                assert os.environ["FIELDBOOK_RUN_ID"] == child.id
            assert os.environ["FIELDBOOK_RUN_ID"] == run.id
        run.log({"mean": 0.5})
    found = {meta(one)["name"]: one for one in home.journals()}
    assert set(found) == {"sweep", "fold 0", "fold 1"}
    assert found["fold 1"].attributes() == {"params/fold": 1, "sys/parent": run.id}
    assert points(found["fold 1"]) == [("acc", 0, 1)]
    assert points(found["sweep"]) == [("mean", 0, 0.5)]
    assert "sys/parent" not in found["sweep"].attributes()
    assert len({meta(one)["run"] for one in found.values()}) == 3
    assert {meta(one)["project"] for one in found.values()} == {"p"}
    assert all(close(one) for one in found.values())


def test_a_parent_may_be_anywhere(home: Home) -> None:
    """[CLT-17]"""
    with fieldbook.init("q", parent="some-run", capture=False):
        pass
    assert home.only().attributes() == {"sys/parent": "some-run"}


def test_a_subprocess_can_be_a_child_of_the_run_that_started_it(home: Home) -> None:
    """[CLT-17]"""
    with fieldbook.init("p", run_id="outer", capture=False):
        script = (
            "import os, fieldbook; fieldbook.init('p', parent=os.environ['FIELDBOOK_RUN_ID'], capture=False).finish()"
        )
        code, _, err = run_script(script, home)
        assert code == 0, err
    inner = [one for one in home.journals() if meta(one)["run"] != "outer"]
    assert [one.attributes() for one in inner] == [{"sys/parent": "outer"}]


def test_ranks_agree_on_their_children(home: Home) -> None:
    """[CLT-17]"""
    script = """
import fieldbook
with fieldbook.init("p", capture=False) as run:
    for fold in range(2):
        with run.child(capture=False) as child:
            child.log({"acc": fold})
"""
    launcher = {"WORLD_SIZE": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
    for rank in ("0", "1"):
        code, _, err = run_script(script, home, RANK=rank, **launcher)
        assert code == 0, err
    by_run: dict[str, set[int]] = {}
    for one in home.journals():
        by_run.setdefault(meta(one)["run"], set()).add(meta(one)["rank"])
    assert list(by_run.values()) == [{0, 1}] * 3
    assert sum(len(points(one)) for one in home.journals()) == 2


def test_children_of_a_disabled_run_are_disabled(home: Home) -> None:
    with fieldbook.init("p", mode="disabled") as run, run.child() as child:
        child.log({"a": 1})
    assert not home.path.exists()


def test_mistakes(home: Home) -> None:
    for parent, error in ((3, TypeError), ("a/b", ValueError)):
        with pytest.raises(error, match="parent"):
            fieldbook.init("p", parent=parent)  # type: ignore[arg-type]
    with fieldbook.init("p", mode="disabled") as run, pytest.raises(TypeError, match="config"):
        run.child(config=3)
    assert not home.path.exists()
