"""fork, spawn, ranks, threads, os._exit, kill -9, and two processes of one run."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import fieldbook
from fieldbook import journal_reader
from support import Home, close, locked, meta, points, run_file, run_script, start

#: Read here: the fixture of every test clears the variables.
KILLS = 200 if os.environ.get("FIELDBOOK_LONG") == "1" else 20

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")


def test_fork_gives_the_child_a_journal_of_its_own(home: Home) -> None:
    """[JRN-11]"""
    script = """
import os, fieldbook
run = fieldbook.init("p", tags=["t"])
run.log({"a": 1}, step=0)
if os.fork() == 0:
    run.log({"a": 2}, step=1)
    run["child"] = True
    os._exit(0)
os.wait()
run.log({"a": 3}, step=2)
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    parent, child = sorted(home.journals(), key=lambda found: meta(found)["forked"])
    assert points(parent) == [("a", 0, 1), ("a", 2, 3)]
    assert close(parent) is not None
    assert points(child) == [("a", 1, 2)]
    assert child.attributes() == {"child": True}
    assert close(child) is None
    assert meta(child)["run"] == meta(parent)["run"]
    assert meta(child)["parent"] == {"writer": parent.writer, "pid": meta(parent)["pid"]}
    assert (meta(child)["forked"], meta(child)["tags"]) == (True, [])


def test_a_forked_child_that_logs_nothing_leaves_the_parent_alone(home: Home) -> None:
    """[JRN-11]"""
    script = """
import os, sys, fieldbook
for how in ("exit", "finish", "raise"):
    with fieldbook.init("p") as run:
        run.log({"a": 1})
        if os.fork() == 0:
            if how == "finish": run.finish()
            if how == "raise": raise RuntimeError("in the child")
            sys.exit(5)
        os.wait()
        run.log({"a": 2})
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    found = home.journals()
    assert len(found) == 3
    for one in found:
        assert [value for _, _, value in points(one)] == [1, 2]
        ended = close(one)
        assert ended is not None
        assert ended["status"] == "finished"


@linux
def test_a_child_does_not_keep_the_parents_lock(home: Home) -> None:
    """[JRN-13]"""
    script = """
import os, sys, fieldbook
run = fieldbook.init("p"); run.log({"a": 1})
if os.fork() == 0:
    sys.stdin.readline()
    os._exit(0)
print("up", flush=True)
os.kill(os.getpid(), 9)
"""
    process = start(script, home)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    assert process.wait(30) == -signal.SIGKILL
    # On a busy machine the parent may be dead before the child has run at all; one that keeps the lock keeps it for ever.
    deadline = time.monotonic() + 20
    while locked(home.files()[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not locked(home.files()[0])
    process.communicate("\n", timeout=30)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_workers_join_the_run(home: Home, method: str, tmp_path: Path) -> None:
    """[JRN-11]"""
    script = tmp_path / "script.py"
    script.write_text(
        """
import multiprocessing, sys, fieldbook
run = None
def work(index):
    global run
    if run is None:
        run = fieldbook.init("p")
    run.log({"worker": index}, step=index)
    if index == 2:
        raise RuntimeError("worker failed")
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    run = fieldbook.init("p")
    run.log({"main": 1})
    workers = [context.Process(target=work, args=(index,)) for index in range(3)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    run.log({"main": 2})
"""
    )
    code, _, err = run_file(script, method, home)
    assert code == 0, err
    found = home.journals()
    assert len(found) == 4
    assert len({meta(one)["run"] for one in found}) == 1
    (main,) = [one for one in found if meta(one)["parent"] is None]
    assert points(main) == [("main", 0, 1), ("main", 1, 2)]
    statuses = sorted((close(one) or {}).get("status", "none") for one in found)
    assert statuses == ["failed", "finished", "finished", "finished"]


def test_ranks_of_one_launch_agree_on_the_run_and_rank_0_records(home: Home) -> None:
    script = """
import fieldbook, sys
with fieldbook.init("p", config={"lr": 1}, all_ranks=len(sys.argv) > 1) as run:
    run.log({"loss": 1.0})
"""
    launcher = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for rank in "01":
        assert run_script(script, home, RANK=rank, LOCAL_RANK=rank, **launcher)[0] == 0
    found = sorted(home.journals(), key=lambda one: meta(one)["rank"])
    assert len({meta(one)["run"] for one in found}) == 1
    assert [len(points(one)) for one in found] == [1, 0]
    assert [one.attributes() for one in found] == [{"params/lr": 1}, {}]
    assert all(close(one) for one in found)
    run_script(script, home, "all", RANK="1", LOCAL_RANK="1", **launcher)
    assert sum(len(points(one)) for one in home.journals()) == 2


def test_launches_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldbook import environment

    monkeypatch.setenv("WORLD_SIZE", "8")
    assert environment.shared_run_id("p") is None
    ids = set()
    for job in ("1", "2"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        ids.add(environment.shared_run_id("p"))
        assert environment.shared_run_id("p") in ids
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "abc")
    ids.add(environment.shared_run_id("p"))
    ids.add(environment.shared_run_id("q"))
    assert len(ids) == 4
    for run_id in ids:
        environment.check_run_id(run_id)


def test_a_subprocess_of_another_project_does_not_join(home: Home) -> None:
    with fieldbook.init("p", run_id="mine") as run:
        for project in ("p", "q"):
            assert run_script(f"import fieldbook; fieldbook.init({project!r}).finish()", home)[0] == 0
    runs = {(meta(one)["project"], meta(one)["run"]) for one in home.journals()}
    assert [run_id for project, run_id in runs if project == "p"] == ["mine"]
    assert [run_id == "mine" for project, run_id in runs if project == "q"] == [False]
    assert "FIELDBOOK_RUN_ID" not in os.environ
    assert run.id == "mine"


def test_two_processes_write_one_run(home: Home) -> None:
    script = """
import sys, fieldbook
with fieldbook.init("p", run_id="shared") as run:
    print("up", flush=True); sys.stdin.readline()
    for step in range(1000):
        run.log({"x": step}, step=step)
"""
    both = [start(script, home) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        _, err = process.communicate("\n", timeout=60)
        assert process.returncode == 0, err
    found = home.journals()
    assert [one.state for one in found] == ["clean", "clean"]
    assert [one.values("x") for one in found] == [list(range(1000))] * 2
    assert {file.parent.name for file in home.files()} == {"shared"}


def test_threads_lose_and_mix_nothing(home: Home) -> None:
    with fieldbook.init("p") as run:

        def work(name: str) -> None:
            for step in range(2000):
                run.log({name: step, f"{name}/{step % 7}": 1}, step=step)

        threads = [threading.Thread(target=work, args=(f"t{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = home.only()
    assert found.state == "clean"
    for index in range(8):
        assert found.values(f"t{index}") == list(range(2000))


def test_fork_while_other_threads_log(home: Home) -> None:
    """[JRN-11]"""
    script = """
import os, threading, fieldbook
run = fieldbook.init("p")
over = threading.Event()
def work():
    while not over.is_set(): run.log({"t": 1})
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        run.log({"child": 1})
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
over.set()
for thread in threads: thread.join()
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    found = home.journals()
    assert len(found) == 31
    assert {one.state for one in found} == {"clean"}
    assert sum(len(one.values("child")) for one in found) == 30


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 11)"])
def test_everything_that_log_returned_from_is_in_the_file(home: Home, ending: str) -> None:
    """[JRN-10]"""
    script = f"""
import os, fieldbook
run = fieldbook.init("p", config={{"lr": 1}})
for step in range(5000):
    run.log({{"x": step}}, step=step)
run["last"] = "word"
run.tags.add("done")
{ending}
"""
    run_script(script, home)
    found = home.only()
    assert found.values("x") == list(range(5000))
    assert found.attributes() == {"params/lr": 1, "last": "word"}
    assert close(found) is None


@linux
def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(home: Home) -> None:
    """[JRN-10] [JRN-13]"""
    script = """
import sys, fieldbook
run = fieldbook.init("p")
step = 0
while True:
    run.log({"x": step, "y": 1.0}, step=step)
    step += 1
    if step % 50 == 0:
        sys.stdout.write(f"{step}\\n"); sys.stdout.flush()
"""
    dice = random.Random(9)
    for round_ in range(KILLS):
        run_id = f"kill-{round_}"
        process = start(script, home, FIELDBOOK_RUN_ID=run_id)
        assert process.stdout is not None
        said = 0
        for _ in range(dice.randint(1, 300)):
            said = int(process.stdout.readline())
        (file,) = (home.path / "journals/p" / run_id).iterdir()
        assert locked(file)
        process.kill()
        rest, _ = process.communicate(timeout=30)
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                said = int(line)
        assert not locked(file)
        found = journal_reader.read(file.read_bytes())
        assert found.state in ("clean", "torn")
        values = found.values("x")
        assert values == list(range(len(values)))
        assert len(values) >= said > 0
