"""How runs end: finish, with, exceptions, sys.exit, signals, atexit."""

from __future__ import annotations

import signal
import sys

import pytest

import fieldbook
from support import Home, close, locked, meta, points, run_script, start


def test_finish_closes_once(home: Home) -> None:
    run = fieldbook.init("p", name="n", group="g", notes="# Notes", tags=["t"])
    run.log({"a": 1})
    run.finish()
    run.finish()
    found = home.only()
    ended = close(found)
    assert ended is not None
    assert (ended["status"], ended["exit_code"], ended["points"], ended["dropped"]) == ("finished", 0, 1, 0)
    assert {key: meta(found)[key] for key in ("project", "run", "name", "group", "notes")} == {
        "project": "p",
        "run": run.id,
        "name": "n",
        "group": "g",
        "notes": "# Notes",
    }


def test_an_exception_fails_the_run_with_its_traceback(home: Home) -> None:
    def step() -> None:
        raise ValueError("loss is not finite")

    with pytest.raises(ValueError, match="finite"), fieldbook.init("p"):
        step()
    ended = close(home.only())
    assert ended is not None
    assert (ended["status"], ended["exit_code"], ended["error"]) == ("failed", 1, "ValueError: loss is not finite")
    assert "in step" in ended["traceback"]


def test_a_long_traceback_keeps_its_end(home: Home) -> None:
    with pytest.raises(RuntimeError), fieldbook.init("p"):
        raise RuntimeError("x" * 100_000 + "END")
    ended = close(home.only())
    assert ended is not None
    assert len(ended["traceback"]) <= 65536
    assert ended["traceback"].strip().endswith("END")


@pytest.mark.parametrize(
    ("ending", "status", "code", "exit_code"),
    [
        ("pass", "finished", 0, 0),
        ("import sys; sys.exit()", "finished", 0, 0),
        ("import sys; sys.exit(3)", "failed", 3, 3),
        ("import sys; sys.exit('no data')", "failed", 1, 1),
        ("exit(3)", "failed", 3, 3),
        ("quit('no data')", "failed", 1, 1),
        ("exit()", "finished", 0, 0),
        ("1/0", "failed", 1, 1),
        ("raise KeyboardInterrupt", "failed", 1, -signal.SIGINT),
    ],
)
@pytest.mark.parametrize("block", [False, True])
def test_every_way_out_of_a_script(
    home: Home, ending: str, status: str, code: int, exit_code: int, block: bool
) -> None:
    begin = "with fieldbook.init('p') as run:\n    " if block else "run = fieldbook.init('p')\n"
    returned, _, err = run_script(f"import fieldbook\n{begin}run.log({{'a': 1}}); {ending}\n", home)
    ended = close(home.only())
    assert ended is not None, err
    assert returned == exit_code
    assert (ended["status"], ended["exit_code"]) == (status, code)
    assert ("Traceback" in (ended["traceback"] or "")) == (ending in ("1/0", "raise KeyboardInterrupt"))


def test_a_thread_that_leaves_does_not_fail_the_run(home: Home) -> None:
    script = """
import fieldbook, sys, threading
run = fieldbook.init('p')
thread = threading.Thread(target=lambda: sys.exit(3))
thread.start(); thread.join()
"""
    assert run_script(script, home)[0] == 0
    ended = close(home.only())
    assert ended is not None
    assert (ended["status"], ended["exit_code"]) == ("finished", 0)


def test_hooks_are_chained(home: Home) -> None:
    script = """
import sys, atexit
sys.excepthook = lambda *a: print("mine", a[0].__name__)
import fieldbook
run = fieldbook.init("p")
atexit.register(lambda: print("exit"))
1/0
"""
    _, out, _ = run_script(script, home)
    assert out.split() == ["mine", "ZeroDivisionError", "exit"]
    ended = close(home.only())
    assert ended is not None
    assert ended["status"] == "failed"


def test_sigterm_is_recorded_and_still_kills(home: Home) -> None:
    script = (
        "import fieldbook, time\nrun = fieldbook.init('p'); run.log({'a': 1}); print('up', flush=True); time.sleep(60)"
    )
    process = start(script, home)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    ended = close(home.only())
    assert ended is not None
    assert (ended["status"], ended["signal"], ended["exit_code"]) == ("failed", 15, None)


def test_sigterm_in_the_middle_of_a_call_waits_for_its_end(home: Home) -> None:
    script = """
import os, signal, fieldbook
from fieldbook import writer
run = fieldbook.init("p")
run.log({"a": 0})
real = writer.write
def write(fd, data):
    done = real(fd, data[:9])
    os.kill(os.getpid(), signal.SIGTERM)  # Python runs the handler before the next line
    return done + real(fd, data[9:])
writer.write = write
run.log({"a": 1})
print("not reached")
"""
    code, out, _ = run_script(script, home)
    assert (code, out) == (-signal.SIGTERM, "")
    found = home.only()
    assert found.state == "clean"
    assert [value for _, _, value in points(found)] == [0, 1]
    assert close(found) is not None


def test_a_handler_of_the_script_stays(home: Home) -> None:
    script = """
import signal, os, fieldbook
run_ = []
signal.signal(signal.SIGTERM, lambda *a: run_[0].log({"caught": 1}))
run_.append(fieldbook.init("p"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    ended = close(home.only())
    assert ended is not None
    assert ended["status"] == "finished"
    assert points(home.only()) == [("caught", 0, 1)]


def test_logging_from_a_signal_handler_inside_a_call(home: Home) -> None:
    script = """
import os, signal, fieldbook
from fieldbook import writer
run = fieldbook.init("p")
run.log({"a": 0})
signal.signal(signal.SIGUSR1, lambda *a: (run.log({"b": 1}), run.tags.add("caught"), run.log({"b": "x"})))
real = writer.write
def write(fd, data):
    writer.write = real
    os.kill(os.getpid(), signal.SIGUSR1)
    return real(fd, data)
writer.write = write
run.log({"a": 1})
run.finish()
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    assert "'b'" in err
    found = home.only()
    assert found.state == "clean"
    assert points(found) == [("a", 0, 0), ("a", 1, 1), ("b", 0, 1)]


def test_sigterm_is_given_back_after_the_run(home: Home) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = fieldbook.init("p")
    assert signal.getsignal(signal.SIGTERM) is not before
    run.finish()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/locks")
def test_runs_one_after_another_are_different_runs(home: Home) -> None:
    ids = []
    for _ in range(3):
        with fieldbook.init("p") as run:
            ids.append(run.id)
    first = fieldbook.init("p")
    second = fieldbook.init("p")
    ids += [first.id, second.id]
    second.finish()
    first.finish()
    assert len(set(ids)) == 5
    assert not any(locked(file) for file in home.files())
