"""What is captured of runs in a run: once for the process, said in each, and no load of the machine twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from capture_support import environment, processes_of, project, readable, run_in, until
from fieldbook import journal
from fieldbook.capture.captured import switch_of
from fieldbook.capture.switches import SWITCHES
from fieldbook.journal_reader import Journal
from launch_support import launch
from support import Home, meta

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SWEEP = """
import sys, fieldbook
with fieldbook.init("p", name="sweep", capture={"interval": 0.1}) as run:
    for fold in range(3):
        with run.child(name=f"fold {fold}", **OPTIONS) as child:
            child.log({"acc": fold})
            print("fold", flush=True)
            sys.stdin.readline()
"""


def by_name(home: Home, role: str | None) -> dict[str, Journal]:
    names = {meta(one)["run"]: meta(one)["name"] for one in readable(home) if meta(one).get("role") is None}
    found = [one for one in readable(home) if meta(one).get("role") == role]
    assert len({meta(one)["run"] for one in found}) == len(found), "one of each run"
    return {names[meta(one)["run"]]: one for one in found}


def complete(home: Home, count: int) -> dict[str, Journal]:
    """Journals of companions by the name of their run, once all have been closed."""

    def all_closed() -> dict[str, Journal] | None:
        found = by_name(home, "system")
        return found if len(found) == count and all(one.of(journal.CLOSE) for one in found.values()) else None

    found: dict[str, Journal] = until(all_closed)
    return found


def sections(one: Journal) -> dict[str, object]:
    return {row["section"]: row["data"] for row in one.of(journal.CAPTURE)}


def test_one_companion_for_a_process_and_its_load_in_one_run(home: Home, tmp_path: Path) -> None:
    """[CAP-16]"""
    script = SWEEP.replace("OPTIONS", "{}")
    checkout = project(tmp_path / "checkout", {"train.py": script})
    (checkout / "new.py").write_text("print('not in git yet')\n")
    process = subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=checkout,
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    for fold in range(3):
        assert process.stdout.readline() == "fold\n"
        # It is there, has written a sample, and nothing was started beside it for the child.
        until(lambda fold=fold: f"fold {fold}" in by_name(home, "system"))
        before = len(by_name(home, "system")["sweep"].of(journal.SCALARS))
        until(lambda before=before: len(by_name(home, "system")["sweep"].of(journal.SCALARS)) > before)
        assert len(set(processes_of(home))) == 1
        process.stdin.write("\n")
        process.stdin.flush()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.count("uncommitted") <= 1, said

    found = complete(home, 4)
    assert set(found) == {"sweep", "fold 0", "fold 1", "fold 2"}
    sweep = sections(found["sweep"])
    assert {"git", "code", "python", "machine", "packages", "variables"} <= set(sweep)
    for fold in range(3):
        child = found[f"fold {fold}"]
        ours = sections(child)
        assert set(ours) == set(sweep)
        assert ours["git"] == sweep["git"]
        assert ours["packages"] == sweep["packages"]
        assert "source/untracked/new.py" in {row["path"] for row in child.of(journal.FILE)}
        for row in child.of(journal.FILE):
            assert list(home.path.glob(f"journals/*/*/{child.writer}.files/{row['spool']}")), row
        assert child.of(journal.SCALARS) == [], "the load of the machine stands in the run above"
        assert meta(child)["run"] == meta(by_name(home, None)[f"fold {fold}"])["run"]


def test_a_child_says_what_its_own_switches_allow(home: Home, tmp_path: Path) -> None:
    """[CAP-16]"""
    script = SWEEP.replace("OPTIONS", "{'capture': {'code': False, 'packages': False}}").replace(
        "sys.stdin.readline()", ""
    )
    checkout = project(tmp_path / "checkout", {"train.py": script})
    done = run_in(checkout, home, "train.py")
    assert done.returncode == 0, done.stderr
    found = complete(home, 4)
    assert {"git", "packages"} <= set(sections(found["sweep"]))
    for fold in range(3):
        assert not {"git", "code", "packages"} & set(sections(found[f"fold {fold}"]))
        assert "python" in sections(found[f"fold {fold}"])


def test_a_child_that_wants_more_has_a_companion_of_its_own(home: Home, tmp_path: Path) -> None:
    """[CAP-16]"""
    script = """
import fieldbook
with fieldbook.init("p", name="sweep", capture=["system"]) as run:
    with run.child(name="fold", capture=["packages"]) as child:
        pass
"""
    done = run_in(tmp_path, home, "-c", script)
    assert done.returncode == 0, done.stderr
    found = complete(home, 2)
    assert set(sections(found["fold"])) == {"packages"}
    assert sections(found["sweep"]) == {}


def test_a_child_within_a_recorded_command_leaves_the_load_to_the_launcher(home: Home) -> None:
    """[CAP-16]"""
    script = """
import fieldbook
with fieldbook.init("joint") as run:
    with run.child(name="fold") as child:
        child.log({"acc": 1})
"""
    said = launch(home, "-p", "joint", "--", sys.executable, "-c", script, FIELDBOOK_CAPTURE="")
    assert said.returncode == 0, said.stderr
    child = next(meta(one)["run"] for one in readable(home) if meta(one)["name"] == "fold")
    until(lambda: all(one.of(journal.CLOSE) for one in readable(home)))
    loads = {meta(one)["run"] for one in readable(home) if any(path.startswith("sys/") for path, *_ in one.points())}
    assert len(loads) == 1
    assert child not in loads
    assert {"packages", "code"} <= {
        row["section"] for one in readable(home) if meta(one)["run"] == child for row in one.of(journal.CAPTURE)
    }


def test_every_capture_hangs_on_a_switch() -> None:
    assert {switch_of(name) for name in ("git", "conda", "source/files/a.py", "config/a.yaml")} <= set(SWITCHES)
    assert switch_of("environment/requirements.txt") == "packages"
    assert switch_of("environment/files/Dockerfile") == "environment"
