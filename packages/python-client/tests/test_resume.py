"""init(run_id=…) on this and on another machine, with and without resume; tags only add."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import fieldbook
from fieldbook import journal
from support import Home, meta, points, run_script


def test_a_second_writer_appends_and_nobody_is_asked(home: Home, tmp_path: Path) -> None:
    """[CLT-16]"""
    with fieldbook.init("p", run_id="r", tags=["first"], config={"lr": 1}, capture=False) as run:
        run.log({"loss": 1}, step=0)
    elsewhere = Home(tmp_path / "another machine")
    with fieldbook.init("p", run_id="r", tags=["late"], home=elsewhere.path, capture=False) as late:
        late.log({"test/acc": 0.9})
        late.tags.add("evaluated")
    here, there = home.only(), elsewhere.only()
    assert meta(here)["run"] == meta(there)["run"] == "r"
    assert here.writer != there.writer
    assert points(there) == [("test/acc", 0, 0.9)]
    assert meta(there)["tags"] == ["late"]
    assert [(record["add"], record["remove"]) for record in there.of(journal.TAGS)] == [(["evaluated"], [])]
    assert there.attributes() == {}


def test_what_two_machines_recorded_of_a_run_becomes_one(home: Home, tmp_path: Path) -> None:
    """[CLT-16] Training here, evaluation elsewhere afterwards, nobody asked; then the journals come together."""
    with fieldbook.init(
        "p", run_id="shared", name="train", tags=["baseline"], config={"lr": 0.1}, capture=False
    ) as run:
        run["loss"].extend([3, 2, 1])
        run["labels"].add("night", "wrong")
        run["labels"].remove("wrong")
        run["model"].upload(b"weights", name="model.bin")
    elsewhere = tmp_path / "elsewhere"
    with fieldbook.init("p", run_id="shared", tags=["evaluated"], home=elsewhere, capture=False) as late:
        late.log({"test/acc": 0.9, "loss": 0.5}, step=3)
        late["params/lr"] = 0.2
        late["labels"].add("paper")
        late["report"].upload(b"fine", name="report.txt")
    shutil.copytree(elsewhere / "journals", home.path / "journals", dirs_exist_ok=True)
    (found,) = fieldbook.runs("p")
    assert (found.id, found.name, found.status) == ("shared", "train", "finished")
    assert sorted(found.tags) == ["baseline", "evaluated"]
    assert found.attributes == {"params/lr": 0.2, "labels/night": True, "labels/paper": True}
    assert (found["loss"].steps(), found["loss"].values()) == ([0, 1, 2, 3], [3, 2, 1, 0.5])
    assert found["test/acc"].values() == [0.9]
    for path, data in (("model", b"weights"), ("report", b"fine")):
        assert Path(found[path].download(f"{tmp_path}/out/")).read_bytes() == data


def test_without_resume_automatic_steps_begin_again(home: Home) -> None:
    for _ in range(2):
        with fieldbook.init("p", run_id="r", capture=False) as run:
            run.log({"loss": 1})
            run.log({"loss": 1})
    assert sorted(step for one in home.journals() for _, step, _ in points(one)) == [0, 0, 1, 1]


def test_resume_counts_on_from_what_lies_here(home: Home) -> None:
    """[CLT-16]"""
    script = """
import os, fieldbook
run = fieldbook.init("p", run_id="r", capture=False)
run.log({"loss": 1, "acc": 1}, step=10)
run.log({"loss": 1})
run["note"].append("a", step=4)
os.kill(os.getpid(), 9)
"""
    run_script(script, home)
    with fieldbook.init("p", run_id="r", resume=True, capture=False) as run:
        run.log({"loss": 2})
        run.log({"loss": 2, "acc": 2})
        run.log({"new": 0})
        run["note"].append("b")
    found = next(one for one in home.journals() if points(one)[0][2] == 2)
    assert points(found) == [("loss", 12, 2), ("loss", 13, 2), ("acc", 11, 2), ("new", 0, 0)]
    assert found.of(journal.OBJECT)[0]["step"] == 5


def test_resume_says_when_nothing_is_known_here(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[CLT-16]"""
    with fieldbook.init("p", run_id="r", resume=True, capture=False) as run:
        run.log({"loss": 1})
    assert "nothing of run r is known on this machine" in capfd.readouterr().err
    assert points(home.only()) == [("loss", 0, 1)]


def test_a_damaged_journal_is_in_nobodys_way(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[CLT-16]"""
    with fieldbook.init("p", run_id="r", capture=False) as run:
        run.log({"loss": 1}, step=5)
    folder = home.files()[0].parent
    (folder / "zzz.000000.fbj").write_bytes(b"not a journal")
    with fieldbook.init("p", run_id="r", resume=True, capture=False) as run:
        run.log({"loss": 2})
    (folder / "zzz.000000.fbj").unlink()
    assert sorted(points(one) for one in home.journals()) == [[("loss", 5, 1)], [("loss", 6, 2)]]


def test_a_journal_that_cannot_be_read_is_said(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[PRF-15] A step may come again then: that is no silent matter, whether others can be read or not."""
    for others in (True, False):
        if others:
            with fieldbook.init("p", run_id="r", capture=False) as run:
                run.log({"x": 1})
        else:
            shutil.rmtree(home.path)
        unreadable = home.path / "journals/p/r/00000000000000000000000001.000000.fbj"
        unreadable.mkdir(parents=True)
        with fieldbook.init("p", run_id="r", resume=True, capture=False) as run:
            run.log({"x": 2})
        unreadable.rmdir()
        assert points(home.by_writer()[run._writer.id][0]) == [("x", int(others), 2)]
        said = capfd.readouterr().err
        assert "can be read (00000000000000000000000001.000000.fbj: Is a directory)" in said
        assert "nothing of run" not in said


def test_mistakes(home: Home) -> None:
    with pytest.raises(ValueError, match="resume needs a run_id"):
        fieldbook.init("p", resume=True)
    with fieldbook.init("p", run_id="r", resume=True, mode="disabled") as run:
        run.log({"a": 1})
    assert not home.path.exists()


@pytest.mark.parametrize(
    "launcher",
    [
        {
            "RANK": "{}",
            "LOCAL_RANK": "{}",
            "WORLD_SIZE": "2",
            "TORCHELASTIC_RUN_ID": "job",
            "MASTER_ADDR": "h",
            "MASTER_PORT": "1",
        },
        {"SLURM_PROCID": "{}", "SLURM_LOCALID": "{}", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "9", "SLURM_STEP_ID": "0"},
        {"PMI_RANK": "{}", "PMI_SIZE": "2", "SLURM_JOB_ID": "9"},
        {
            "OMPI_COMM_WORLD_RANK": "{}",
            "OMPI_COMM_WORLD_LOCAL_RANK": "{}",
            "OMPI_COMM_WORLD_SIZE": "2",
            "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        },
    ],
    ids=["torchrun", "srun", "mpi under slurm", "mpirun"],
)
def test_ranks_of_a_launch_join_one_run(home: Home, launcher: dict[str, str]) -> None:
    """[CLT-16]"""
    script = """
import fieldbook
with fieldbook.init("p", config={"lr": 1}, capture=False) as run:
    run.log({"loss": 1})
    run["page"].append(fieldbook.Html("x"))
    run["labels"].add("a")
    run["f"].upload(b"1")
"""
    for rank in "01":
        code, _, err = run_script(script, home, **{name: value.format(rank) for name, value in launcher.items()})
        assert code == 0, err
    first, second = sorted(home.journals(), key=lambda one: meta(one)["rank"])
    assert meta(first)["run"] == meta(second)["run"]
    assert (meta(first)["rank"], meta(second)["rank"], meta(first)["world_size"]) == (0, 1, 2)
    assert [len(points(one)) for one in (first, second)] == [1, 0]
    for kind in (journal.OBJECT, journal.FILE, journal.ATTRS):
        assert first.of(kind)
        assert not second.of(kind)
