"""The process beside the training: how it starts, what it samples, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fieldbook
from capture_support import Captured, environment, processes_of, project, run_in, until, write
from fieldbook import journal
from support import Home, close, meta

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
WAITS = """
import fieldbook, sys
run = fieldbook.init("p")
print("up", flush=True)
sys.stdin.readline()
"""


def start(folder: Path, home: Home, script: str, **more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment(home, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def companion_pid(home: Home) -> int:
    (pid,) = until(lambda: processes_of(home))
    return int(pid)


def gone(home: Home) -> bool:
    return not processes_of(home)


def test_it_is_another_writer_of_the_run(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    done = run_in(tmp_path, home, "-c", "import fieldbook\nwith fieldbook.init('p') as run: run.log({'a': 1})")
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    training, companion = found.training, found.companion
    about = meta(companion)
    assert (about["role"], about["run"], about["project"]) == ("system", meta(training)["run"], "p")
    assert about["parent"] == {"writer": training.writer, "pid": meta(training)["pid"]}
    assert about["pid"] != meta(training)["pid"]
    ended = close(companion)
    assert ended is not None
    assert ended["status"] == "finished"
    assert meta(training).get("role") is None


def test_the_training_has_no_thread_and_no_child(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = """
import os, threading, fieldbook
run = fieldbook.init("p")
assert threading.active_count() == 1
try: os.wait()
except ChildProcessError: print("no child")
assert open("/proc/self/task/%d/children" % os.getpid()).read() == ""
"""
    done = run_in(tmp_path, home, "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no child\n", "")
    assert Captured(home).companion


def test_ctrl_c_does_not_reach_it(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    process = start(tmp_path, home, WAITS)
    pid = companion_pid(home)
    assert os.getsid(pid) != os.getsid(process.pid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    process.communicate("\n", timeout=30)
    assert close(Captured(home).companion) is not None


@pytest.mark.parametrize("ending", ["return", "kill", "exit", "crash", "SIGTERM"])
def test_it_is_gone_soon_after_the_training(home: Home, tmp_path: Path, ending: str) -> None:
    """[CAP-2]"""
    last = {"exit": "import os; os._exit(3)", "crash": "import os; os.kill(os.getpid(), 11)"}.get(ending, "")
    process = start(tmp_path, home, WAITS + last)
    companion_pid(home)
    if ending == "kill":
        process.kill()
    elif ending == "SIGTERM":
        process.terminate()
    assert process.stdin is not None
    if ending not in ("kill", "SIGTERM"):
        process.stdin.write("\n")
        process.stdin.close()
    process.wait(30)
    begun = time.monotonic()
    until(lambda: gone(home))
    assert time.monotonic() - begun < 2.5
    companion = Captured(home).companion
    assert list(companion.points())


def test_forked_children_that_live_on_do_not_keep_it(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = """
import os, sys, time, fieldbook
from fieldbook.capture import link
run = fieldbook.init("p")
link.Link.forget = lambda self: None    # as in a fork that Python does not hear of
pid = os.fork()
if pid == 0:
    sys.stdin.read()          # a data loader's worker that nobody stopped
    os._exit(0)
print("up", flush=True)
print(pid, flush=True)
time.sleep(0.5)
os.kill(os.getpid(), 9)
"""
    process = start(tmp_path, home, script)
    companion_pid(home)
    assert process.wait(30) == -9
    until(lambda: gone(home), 3.0)
    assert process.stdout is not None
    os.kill(int(process.stdout.readline()), 9)
    process.communicate()


def test_its_own_death_harms_nothing(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = """
import fieldbook, sys
run = fieldbook.init("p")
print("up", flush=True)
sys.stdin.readline()
for step in range(100): run.log({"a": step})
"""
    process = start(tmp_path, home, script)
    os.kill(companion_pid(home), signal.SIGKILL)
    until(lambda: gone(home))
    _, err = process.communicate("\n", timeout=30)
    assert process.returncode == 0, err
    assert err.count("\n") <= 1
    assert "ended early" in err
    found = Captured(home)
    assert len(found.training.values("a")) == 100
    assert close(found.training) is not None
    # A reader sees that this writer has the role of a companion, so the run is not crashed.
    assert meta(found.journals("system")[0])["role"] == "system"


@pytest.mark.parametrize("how", ["missing", "frozen", "not python", "fails"])
def test_it_cannot_start(home: Home, tmp_path: Path, how: str) -> None:
    """[CAP-2]"""
    broken = tmp_path / "python-that-fails"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    say = {
        "missing": "sys.executable = ''",
        "frozen": "sys.frozen = True",
        "not python": "sys.executable = '/bin/true'",
        "fails": f"sys.executable = {str(broken)!r}",
    }[how]
    script = f"import sys, fieldbook, time\n{say}\nrun = fieldbook.init('p')\nrun.log({{'a': 1}})\ntime.sleep(0.3)\nrun.finish()\nfieldbook.init('p').finish()\n"
    done = run_in(tmp_path, home, "-c", script)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1, done.stderr
    assert len(home.journals()) == 2
    assert Captured(home).journals("system") == []


def test_a_standard_stream_that_is_closed(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = "import os\nfor fd in (0, 1, 2): os.close(fd)\nimport fieldbook\nwith fieldbook.init('p') as run: run.log({'a': 1})\n"
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(home), timeout=30, check=False
    )
    assert process.returncode == 0
    found = Captured(home)
    assert found.sections()["python"]
    assert found.companion


def test_no_shell_to_start_it_through(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = "import fieldbook\nfrom fieldbook.capture import link\nlink._SHELL = '/nowhere'\nwith fieldbook.init('p') as run: run.log({'a': 1})\n"
    done = run_in(tmp_path, home, "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert Captured(home).companion


def test_sigchld_ignored_or_handled(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    for how in ("signal.SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"):
        other = Home(tmp_path / how[:4])
        script = f"import os, signal, fieldbook\nsignal.signal(signal.SIGCHLD, {how})\nwith fieldbook.init('p') as run: run.log({{'a': 1}})\n"
        done = run_in(tmp_path, other, "-c", script)
        assert done.returncode == 0, done.stderr
        assert Captured(other).companion


def test_nothing_of_the_users_runs_in_it(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    write(
        tmp_path,
        {
            "sitecustomize.py": "import os; open(os.environ['SEEN'], 'a').write('x')\n",
            "t.py": "import fieldbook\nfieldbook.init('p')\n",
        },
    )
    seen = tmp_path / "seen"
    done = run_in(
        tmp_path,
        home,
        "t.py",
        SEEN=str(seen),
        PYTHONPATH=os.pathsep.join([environment(home)["PYTHONPATH"], str(tmp_path)]),
    )
    assert done.returncode == 0, done.stderr
    assert Captured(home).companion
    assert seen.read_text() == "x"


def test_descriptors_of_the_training_are_closed_in_it(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = "import os\nr, w = os.pipe(); os.set_inheritable(w, True)\n" + WAITS
    process = start(tmp_path, home, script)
    pid = companion_pid(home)

    def names() -> list[str]:
        return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]

    theirs = {
        os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd") if int(fd) > 2
    }
    assert len([name for name in names() if name in theirs and name.startswith("pipe:")]) == 2, "the two that join them"
    process.communicate("\n", timeout=30)


def test_workers_get_none_of_their_own(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = """
import multiprocessing, sys
import fieldbook
def work(number):
    run = fieldbook.init("p")
    run.log({"worker": number})
    run.finish()
def log(run, number):
    run.log({"forked": number})
if __name__ == "__main__":
    run = fieldbook.init("p")
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        processes = [context.Process(target=work, args=(n,)) for n in range(2)]
        for process in processes: process.start()
        for process in processes: process.join()
    processes = [multiprocessing.get_context("fork").Process(target=log, args=(run, n)) for n in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
"""
    write(tmp_path, {"t.py": script})
    done = run_in(tmp_path, home, "t.py")
    assert done.returncode == 0, done.stderr
    found = Captured(home)
    assert len(found.journals("system")) == 1
    assert len(found.journals(None)) == 7
    assert {meta(one)["run"] for one in home.journals()} == {meta(found.companion)["run"]}


def ranks(tmp_path: Path, home: Home, world: int, per_node: int) -> None:
    """As torchrun starts them, on machines of ``per_node`` ranks each."""
    write(
        tmp_path,
        {
            "t.py": "import fieldbook, sys\nwith fieldbook.init('p', run_id='r') as run:\n    print('rank prints')\n    run.log({'a': 1})\n    sys.stdin.readline()\n"
        },
    )
    processes = []
    for rank in range(world):
        more = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank % per_node),
            "WORLD_SIZE": str(world),
            "FIELDBOOK_HOST": f"node-{rank // per_node}",
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "t.py"],
                cwd=tmp_path,
                env=environment(home, **more),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )
        )
    until(
        lambda: (
            len(Captured(home).journals(None)) == world
            and len(Captured(home).journals("system")) == -(-world // per_node)
        )
    )
    for process in processes:
        process.communicate("\n", timeout=30)
        assert process.returncode == 0


def test_once_per_machine(home: Home, tmp_path: Path) -> None:
    """[CAP-15]"""
    ranks(tmp_path, home, world=4, per_node=2)
    until(lambda: all(close(one) for one in Captured(home).journals("system")))
    companions = {meta(one)["rank"]: one for one in Captured(home).journals("system")}
    assert set(companions) == {0, 2}
    metrics = {rank: {path for path, *_ in one.points()} for rank, one in companions.items()}
    assert "sys/process/cpu_percent" in metrics[0]
    assert "sys/node-1/process/cpu_percent" in metrics[2]
    assert not any(path.startswith("sys/node-1") for path in metrics[0])
    sections = {rank: {row["section"] for row in one.of(journal.CAPTURE)} for rank, one in companions.items()}
    assert {"python", "packages", "code"} <= sections[0]
    assert sections[2] <= {"gpus"}
    printed = [meta(one)["rank"] for one in Captured(home).journals(None) if one.of(journal.CONSOLE)]
    assert printed == [0]


def test_a_disk_that_refuses(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    home.path.mkdir()
    (home.path / "journals").write_text("in the way")
    done = run_in(tmp_path, home, "-c", "import fieldbook\nwith fieldbook.init('p') as run: run.log({'a': 1})")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_run_within_a_recorded_command_leaves_it_to_that(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    more = {
        "FIELDBOOK_RUN_ID": "r",
        "FIELDBOOK_RECORDED": "r:code,diff,untracked,environment,packages,gpus,system,console,variables,snapshot,config,notebook",
    }
    done = run_in(tmp_path, home, "-c", "import fieldbook\nwith fieldbook.init('p') as run: print('x')", **more)
    assert done.returncode == 0
    assert home.only().of(journal.CONSOLE) == []


def test_a_command_line_beyond_all_measure(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    words = ["ü\x01" * 400 for _ in range(100)]
    done = run_in(tmp_path, home, "-c", "import fieldbook\nfieldbook.init('p')", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.sections()["command"]["argv"][-1] == "…"
    assert found.sections()["python"]
    assert all(not record.malformed for one in home.journals() for record in one.records)


def test_what_it_says_waits_at_the_exit_of_a_container(home: Home, tmp_path: Path) -> None:
    """[CAP-2] Where everything dies with the training, the exit waits until the captures are complete."""
    folder = project(tmp_path / "x", {"t.py": "import fieldbook\nfieldbook.init('p').finish()\n"})
    process = subprocess.Popen([sys.executable, "t.py"], cwd=folder, env=environment(home, SLURM_JOB_ID="1"))
    process.wait(30)
    companions = Captured(home).journals("system")
    assert len(companions) == 1
    assert close(companions[0]) is not None


def test_init_is_not_slowed_down(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-2]"""

    def fastest(capture: bool, enough: float) -> float:
        """The best of many rounds, and no more of them than a busy machine needs."""
        best = 10.0
        for _ in range(60):
            begun = time.perf_counter()
            run = fieldbook.init("p", capture=capture)
            best = min(best, time.perf_counter() - begun)
            run.finish()
            until(lambda: gone(home))  # else the companions of earlier rounds are what is measured
            if best < enough:
                break
        return best

    monkeypatch.delenv("FIELDBOOK_CAPTURE")
    monkeypatch.chdir(tmp_path)
    without = fastest(False, 0.002)
    assert fastest(True, without + 0.02) < without + 0.02


def test_how_long_the_exit_waits_can_be_said(home: Home, tmp_path: Path) -> None:
    """[CAP-2] Of companions that hang, all together are waited for as long as was said, and not at all with 0."""
    script = """
import atexit, os, signal, sys, time
def told(): sys.stderr.write(f"{time.monotonic() - begun:.3f}\\n")
atexit.register(told)
import fieldbook
runs = [fieldbook.init("p", capture=sys.argv[1]) for _ in range(3)]
def read(pid, name):
    # Others end while this looks.
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file: return file.read()
    except OSError: return b""
mine = f"FIELDBOOK_HOME={os.environ['FIELDBOOK_HOME']}".encode()
pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and b"\\0-I\\0-S\\0" in read(pid, "cmdline") and mine in read(pid, "environ")]
for pid in pids: os.kill(pid, signal.SIGSTOP)
print(*pids)
for run in runs: run.finish()
begun = time.monotonic()
"""
    for wait, least, most in (("exit_wait=0", 0.0, 0.9), ("exit_wait=1", 0.9, 1.9)):
        # Into files: what is stopped holds a pipe open.
        out, error = tmp_path / "out", tmp_path / "error"
        with out.open("w") as one, error.open("w") as two:
            command = [sys.executable, "-c", script, wait]
            process = subprocess.Popen(command, env=environment(home, CI="1"), stdout=one, stderr=two)
            try:
                assert process.wait(30) == 0, error.read_text()
            finally:
                process.kill()
                pids = [int(pid) for pid in out.read_text().split()]
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
        assert pids
        assert least <= float(error.read_text().splitlines()[-1]) < most, error.read_text()


def test_a_program_that_closes_all_descriptors(home: Home, tmp_path: Path) -> None:
    """[CAP-2] [JRN-12] Files that it opens afterwards are its own, whatever number they get; the run goes on in another file."""
    script = """
import os, fieldbook
run = fieldbook.init("p", capture="system,console")
run.log({"a": 1})
os.closerange(3, 1024)
files = [open(f"{number}.txt", "w+") for number in range(20)]
for file in files: file.write("mine\\n"); file.flush()
run.log({"a": 2})
run._writer._retry_at = 0.0  # as after a second
run.log({"a": 3})
run.finish()
for file in files: file.write("more\\n"); file.close()
print([open(file.name).read() for file in files] == ["mine\\nmore\\n"] * 20)
"""
    done = run_in(tmp_path, home, "-c", script)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    one, other = sorted(Captured(home).journals(None), key=lambda journal: journal.number)
    assert one.writer == other.writer
    assert other.of(journal.CLOSE)


def test_more_open_files_than_select_takes(home: Home, tmp_path: Path) -> None:
    """[CAP-2]"""
    script = """
import resource, fieldbook
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
files = [open("/dev/null") for _ in range(1200)]
fieldbook.init("p").finish()
"""
    done = run_in(tmp_path, home, "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert Captured(home).companion
