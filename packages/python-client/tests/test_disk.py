"""A disk that fails: full, limited, read-only, deleted, slow. Nothing is raised, nothing recorded before is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fieldbook
from fieldbook import background, journal, writer
from fieldbook.journal_file import JournalFile
from support import Home, close, points, run_script

root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a small file system")
no_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home on a file system of 256 kB."""
    place = tmp_path / "tiny"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        monkeypatch.setenv("FIELDBOOK_HOME", str(place / "home"))
        yield Home(place / "home")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def warnings(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("fieldbook:")]


def fill(path: Path) -> None:
    """Leaves no page free."""
    with open(path, "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines([bytes(4096)] * 1000)


@root
def test_a_full_disk_drops_counts_and_goes_on_when_there_is_room(
    tiny: Home, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[JRN-12]"""
    monkeypatch.setattr(writer, "RETRY_MS", 0.0)
    monkeypatch.setattr(writer, "RETRY_LIMIT_MS", 0.0)
    run = fieldbook.init("p")
    filler = tiny.path / "filler"
    run.log({"x": -1.0}, step=0)
    fill(filler)
    step = 0
    while not run._writer._gap.records and step < 10_000:  # until the last page of the journal is full, too
        run.log({"x": float(step)}, step=step)
        step += 1
    kept_before = step - 1
    run["params/lr"] = 0.1
    run.tags.add("full")
    for _ in range(10):
        run.log({"x": -2.0, "y": -2.0}, step=step)
    filler.unlink()
    run.log({"x": 7.0}, step=step + 1)
    run.log({"x": 8.0}, step=step + 2)
    run.finish()

    found = tiny.only()
    assert found.state == "clean"
    assert [value for _, _, value in points(found)] == [-1.0, *map(float, range(kept_before)), 7.0, 8.0]
    (gap,) = found.of(journal.GAP)
    assert (gap["records"], gap["points"], gap["reason"]) == (11, 21, "ENOSPC")
    assert gap["from"] <= gap["to"] <= gap["time"]
    assert found.attributes() == {"params/lr": 0.1}
    assert found.of(journal.TAGS)[0]["add"] == ["full"]
    ended = close(found)
    assert ended is not None
    assert (ended["dropped"], ended["points"]) == (21, kept_before + 3)
    said = warnings(capfd)
    assert len(said) == 2
    assert "No space left" in said[0]
    assert "21 points" in said[1]


@root
def test_a_disk_that_stays_full_is_reported_at_the_end(tiny: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[JRN-12]"""
    with fieldbook.init("p") as run:
        run.log({"x": 1.0})
        fill(tiny.path / "filler")
        for step in range(10_000):
            run.log({"x": 1.0}, step=step)
    said = warnings(capfd)
    assert len(said) == 2
    assert "could not be written" in said[1]
    found = tiny.only()
    assert found.state == "clean"
    assert close(found) is None


def test_a_file_size_limit_is_a_full_disk(home: Home) -> None:
    """[JRN-12]"""
    script = """
import resource, fieldbook
run = fieldbook.init("p")
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
for step in range(1000):
    run.log({"x": step}, step=step)
run["a"] = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
run.finish()
"""
    code, _, err = run_script(script, home)
    assert code == 0
    assert err.count("fieldbook:") == 2, err
    found = home.only()
    assert found.state == "clean"
    values = found.values("x")
    assert values == list(range(len(values)))
    (gap,) = found.of(journal.GAP)
    assert gap["points"] == 1000 - len(values) > 0
    assert gap["reason"] == "EFBIG"
    assert found.attributes() == {"a": 1}
    assert close(found) is not None


def test_a_half_written_record_is_cut_off(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[JRN-12]"""
    monkeypatch.setattr(writer, "RETRY_MS", 0.0)
    monkeypatch.setattr(writer, "RETRY_LIMIT_MS", 0.0)
    real = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2])

    run = fieldbook.init("p")
    for step in range(3):
        run.log({"x": step}, step=step)
        monkeypatch.setattr(writer, "write", half)
        run.log({"x": -1}, step=step)
        run.log({"new": -1}, step=step)
        monkeypatch.setattr(writer, "write", real)
    run.finish()
    found = home.only()
    assert found.state == "clean"
    assert points(found) == [("x", 0, 0), ("x", 1, 1), ("x", 2, 2)]
    assert sum(gap["points"] for gap in found.of(journal.GAP)) == 6


def test_after_a_failure_the_disk_is_left_alone_for_a_while(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def refuse(fd: int, data: bytes) -> int:
        attempts.append(len(data))
        raise OSError(errno.EIO, "Input/output error")

    run = fieldbook.init("p")
    run.log({"x": 0})
    monkeypatch.setattr(writer, "write", refuse)
    for _ in range(1000):
        run.log({"x": 1})
    assert len(attempts) == 1
    monkeypatch.undo()
    run.finish()


def test_a_clock_that_is_set_back_does_not_keep_the_disk_waiting(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = fieldbook.init("p")
    run.log({"x": 0})
    monkeypatch.setattr(writer, "write", refuse)
    run.log({"x": 1})
    monkeypatch.undo()
    monkeypatch.setattr(writer, "time", lambda: time.time() - 86_400)
    run.log({"x": 2})
    found = home.only()
    assert found.values("x") == [0, 2]
    assert [gap["points"] for gap in found.of(journal.GAP)] == [1]
    run.finish()


def test_a_clock_that_is_set_back_does_not_hide_a_deleted_folder(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fieldbook.init("p")
    run.log({"x": 0})
    shutil.rmtree(home.path / "journals")
    monkeypatch.setattr(writer, "time", lambda: time.time() - 86_400)
    run.log({"x": 1})
    assert home.only().values("x") == [0, 1]
    run.finish()


@root
def test_a_read_only_disk_does_not_raise_and_recovers(
    tiny: Home, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[JRN-12]"""
    monkeypatch.setattr(writer, "RETRY_MS", 0.0)
    monkeypatch.setattr(writer, "RETRY_LIMIT_MS", 0.0)
    place = str(tiny.path.parent)
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    run = fieldbook.init("p", config={"lr": 1})
    run.log({"x": 1})
    assert not tiny.files()
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)
    run.log({"x": 2})
    run.finish()
    found = tiny.only()
    assert found.attributes() == {"params/lr": 1}
    assert points(found) == [("x", 1, 2)]
    assert found.of(journal.GAP)[0]["reason"] == "EROFS"
    assert "Read-only" in warnings(capfd)[0]


@no_root
def test_a_home_without_permission_does_not_raise(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "closed"
    place.mkdir(mode=0o500)
    with fieldbook.init("p", home=place / "home") as run:
        run.log({"x": 1})
    assert "Permission denied" in warnings(capfd)[0]


def test_a_home_that_is_a_file_does_not_raise(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """[JRN-12]"""
    place = tmp_path / "file"
    place.write_text("")
    with fieldbook.init("p", home=place, config={"a": 1}) as run:
        for _ in range(100):
            run.log({"x": 1})
    said = warnings(capfd)
    assert len(said) == 2
    assert "100 points" in said[1]


@pytest.mark.parametrize("when", ["while running", "at the end"])
def test_a_deleted_folder_comes_back_with_everything(
    home: Home, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """[JRN-12]"""
    monkeypatch.setattr(writer, "CHECK_MS", 0.0)
    run = fieldbook.init("p", config={"lr": 1})
    for step in range(100):
        run.log({"x": step}, step=step)
    shutil.rmtree(home.path)
    if when == "while running":
        run.log({"x": 100}, step=100)
        assert home.only().values("x") == list(range(101))
    run.finish()
    found = home.only()
    assert found.values("x")[:100] == list(range(100))
    assert close(found) is not None
    assert "deleted" in warnings(capfd)[0]


def test_a_folder_deleted_within_the_last_second_is_noticed_at_the_end(home: Home) -> None:
    run = fieldbook.init("p")
    run.log({"x": 1})
    shutil.rmtree(home.path)
    run.log({"x": 2})
    run.finish()
    assert home.only().values("x") == [1, 2]


def test_files_stand_alone_after_rotation(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[JRN-14]"""
    monkeypatch.setattr(writer, "ROTATE_BYTES", 6000)
    with fieldbook.init("p", name="n") as run:
        for step in range(500):
            run.log({"a": step, "b": -step} if step % 2 else {"a": step}, step=step)
    found = home.journals()
    assert len(found) > 3
    assert [one.number for one in found] == list(range(len(found)))
    metas = [one.of(journal.META) for one in found]
    assert metas == [metas[0]] * len(found)
    assert len({one.nonce for one in found}) == len(found)
    sequence = 0
    for one in found:
        assert one.first == sequence
        sequence = one.sequence
        assert one.records[-1].kind == (journal.CLOSE if one is found[-1] else journal.ROTATED)
    assert [one.records[-1].data["number"] for one in found[:-1]] == list(range(1, len(found)))
    assert [value for one in found for value in one.values("a")] == list(range(500))


def test_rotation_by_age(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[JRN-14]"""
    monkeypatch.setattr(writer, "CHECK_MS", 0.0)
    monkeypatch.setattr(writer, "ROTATE_MS", 0.0)
    with fieldbook.init("p", run_id="small") as run:
        run.log({"a": 1})
    assert len(home.files()) == 1
    monkeypatch.setattr(writer, "ROTATE_AGED_BYTES", 0)
    with fieldbook.init("p") as run:
        run.log({"a": 1})
        run.log({"a": 2})
    # Every record makes the file old enough: one of each record that is no point, and one of each point.
    assert [count for count in sorted(len(points(one)) for one in home.journals()) if count] == [1, 1, 1]
    assert len(home.files()) >= 5


def test_a_rotation_that_fails_keeps_the_old_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldbook import journal_file

    run = fieldbook.init("p")

    def refuse(path: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "ROTATE_BYTES", 2000)
    monkeypatch.setattr(journal_file, "_create", refuse)
    for step in range(200):
        run.log({"a": step}, step=step)
    run.finish()
    found = home.only()
    assert found.state == "clean"
    assert found.values("a") == list(range(200))


def _slow(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A disk whose writes take as long as the returned dictionary says, in seconds."""
    real, disk = os.write, {"s": 0.06, "writes": 0}

    def slow(fd: int, data: bytes) -> int:
        disk["writes"] += 1
        time.sleep(disk["s"])
        return real(fd, data)

    monkeypatch.setattr(writer, "write", slow)
    return disk


def test_slow_writes_move_to_a_thread_and_back(
    home: Home, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "CALM_S", 0.2)
    disk = _slow(monkeypatch)
    run = fieldbook.init("p")
    for step in range(3):
        run.log({"x": step}, step=step)
    thread = run._writer._background
    assert thread is not None
    begun = time.monotonic()
    for step in range(3, 500):
        run.log({"x": step, f"m{step}": 1}, step=step)
    run["a"] = 1
    assert time.monotonic() - begun < 1.0  # 497 writes of 60 ms would take half a minute
    disk["s"] = 0.0
    thread._thread.join(30)
    assert run._writer._background is None
    writes = disk["writes"]
    run.log({"x": 500}, step=500)
    run.log({"x": 501}, step=501)
    assert disk["writes"] == writes + 2
    run.finish()
    found = home.only()
    assert found.state == "clean"
    assert found.values("x") == list(range(502))
    assert found.attributes() == {"a": 1}
    assert not found.of(journal.GAP)
    assert [line for line in warnings(capfd) if "slow" in line] != []


def test_a_full_queue_drops_points_but_no_attributes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "QUEUE_ITEMS", 20)
    monkeypatch.setattr(background, "CALM_S", 0.1)
    disk = _slow(monkeypatch)
    run = fieldbook.init("p")
    for step in range(3):
        run.log({"x": step}, step=step)
    disk["s"] = 0.3
    for step in range(3, 300):
        run.log({"x": step}, step=step)
        if step % 10 == 0:
            run[f"a/{step}"] = step
    disk["s"] = 0.0
    run.finish()
    found = home.only()
    ended = close(found)
    assert ended is not None
    lost = sum(gap["points"] for gap in found.of(journal.GAP))
    assert {gap["reason"] for gap in found.of(journal.GAP)} == {"slow"}
    assert lost == ended["dropped"] == 300 - len(found.values("x")) > 0
    assert len(found.attributes()) == 29


def test_a_fork_during_background_writing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[JRN-11]"""
    disk = _slow(monkeypatch)
    run = fieldbook.init("p")
    for step in range(20):
        run.log({"x": step}, step=step)
    pid = os.fork()
    if pid == 0:
        try:
            disk["s"] = 0.0
            run.log({"child": 1})
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    run.finish()
    parent, child = sorted(home.journals(), key=lambda one: bool(one.records[0].data["forked"]))
    assert parent.values("x") == list(range(20))
    assert child.values("child") == [1]


def test_heartbeats_where_they_are_asked_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDBOOK_HEARTBEAT", "0.05")
    run = fieldbook.init("p")
    deadline = time.monotonic() + 20
    while not home.only().of(journal.HEARTBEAT) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.finish()
    assert home.only().of(journal.HEARTBEAT)
    assert home.only().records[0].data["heartbeat"] == 0.05
    assert sys.modules["threading"].active_count() >= 1


def test_what_a_program_opens_under_our_number_is_left_alone(tmp_path: Path) -> None:
    """[JRN-12]"""
    own = tmp_path / "theirs"
    own.write_bytes(b"x" * 10_000)
    file = JournalFile(str(tmp_path), "0" * 26, lambda lock: {})
    file.open_next()
    number = file.fd
    with own.open("r+b") as theirs:
        os.dup2(theirs.fileno(), number)
    file.cut()
    assert not file.usable
    file.fd = number
    file.steady = False
    file.recover()
    file.fd = number
    file.close()
    os.fstat(number)
    os.close(number)
    assert own.read_bytes() == b"x" * 10_000
    file.open_next()
    assert file.usable
    assert file.number == 1
    file.close()
