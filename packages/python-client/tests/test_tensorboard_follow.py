"""Event files followed while they are written, and taken in afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fieldbook import journal, tensorboard_follow
from fieldbook.tensorboard_file import EventFile, boundary
from fieldbook.tensorboard_follow import Follower
from fieldbook.tensorboard_import import main as take_in
from fieldbook.tensorboard_owner import FOREIGN, NOBODY, OURS, STRANGER, Owners
from fieldbook.writer import Writer
from launch_support import attributes, begin, environ, until
from support import Home, close, meta, points
from tensorboard_support import GOLDEN, event, field, frame, scalar, tensor, value


def event_file(folder: Path, number: int = 0, seconds: int | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"events.out.tfevents.{int(time.time()) if seconds is None else seconds}.host.999999999.{number}"


class Following:
    """A follower into a writer of its own, looked at by hand."""

    def __init__(self, home: Home, folder: Path, run_id: str = "r") -> None:
        self.writer = Writer(
            str(home.path / "journals" / "p" / run_id),
            f"{len(home.files()):026d}",
            lambda lock: {"lock": lock, "run": run_id},
        )
        self.writer.open()
        owners = Owners(run_id, os.getpid(), proc="/nowhere")
        self.follower = Follower([str(folder)], [], owners, str(home.path), run_id)
        self.follower._sink = tensorboard_follow.Sink(self.writer)
        self.follower._look()

    def look(self) -> None:
        self.follower._look()
        self.follower._decide(final=True)
        self.follower._read()


def test_each_event_once(home: Home, tmp_path: Path) -> None:
    """[TBD-4] Whatever pieces the file arrives in, and at the time that its writer said. [TBD-3]"""
    work = tmp_path / "work"
    work.mkdir()
    following = Following(home, work)
    path = event_file(work / "runs" / "a")
    data = b"".join(scalar("loss", 1.0 / (step + 1), step, 1_700_000_000.0 + step) for step in range(20))
    for start in range(0, len(data), 37):
        with path.open("ab") as file:
            file.write(data[start : start + 37])
        following.look()
    found = home.only()
    assert [(p, s) for p, s, _ in points(found)] == [("loss", float(step)) for step in range(20)]
    assert [when for _, _, _, when, _ in found.points()] == [1_700_000_000_000.0 + 1000 * step for step in range(20)]


def test_several_writers_and_rotation(home: Home, tmp_path: Path) -> None:
    """[TBD-4] Files beside each other and below each other, one after the other."""
    work = tmp_path / "work"
    work.mkdir()
    following = Following(home, work)
    event_file(work / "runs", 0).write_bytes(scalar("loss", 1.0, 0))
    following.look()
    event_file(work / "runs", 1).write_bytes(scalar("loss", 2.0, 1))
    event_file(work / "runs" / "eval", 2).write_bytes(scalar("loss", 3.0, 0))
    following.look()
    shutil.rmtree(work / "runs" / "eval")
    following.look()
    assert sorted(points(home.only())) == [("eval/loss", 0.0, 3.0), ("loss", 0.0, 1.0), ("loss", 1.0, 2.0)]


def test_a_follower_that_starts_again(home: Home, tmp_path: Path) -> None:
    """[TBD-4] Goes on where the last one was, as the same run with another writer."""
    work = tmp_path / "work"
    work.mkdir()
    first = Following(home, work)
    path = event_file(work)
    path.write_bytes(scalar("loss", 1.0, 0) + scalar("loss", 2.0, 1)[:9])
    first.look()
    path.write_bytes(scalar("loss", 1.0, 0) + scalar("loss", 2.0, 1))
    second = Following(home, work)
    second.look()
    second.look()
    assert [points(found) for found in home.journals()] == [[("loss", 0.0, 1.0)], [("loss", 1.0, 2.0)]]


def test_older_files_are_followed_only_as_they_grow(home: Home, tmp_path: Path) -> None:
    """[TBD-4] From the first event that was not whole when the command began."""
    work = tmp_path / "work"
    old = event_file(work, seconds=1_600_000_000)
    event_file(work / "other", seconds=1_600_000_001).write_bytes(scalar("loss", 9.0, 9))
    old.write_bytes(scalar("loss", 1.0, 0) + scalar("loss", 2.0, 1)[:20])
    following = Following(home, work)
    following.look()
    assert points(home.only()) == []
    old.write_bytes(scalar("loss", 1.0, 0) + scalar("loss", 2.0, 1) + scalar("loss", 3.0, 2))
    following.look()
    assert points(home.only()) == [("loss", 1.0, 2.0), ("loss", 2.0, 3.0)]
    assert boundary(str(old), 10_000) == old.stat().st_size


def test_damage_ends_a_file(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """[TBD-2] What is before is recorded, the other files go on, and it is said once, with the place."""
    work = tmp_path / "work"
    work.mkdir()
    following = Following(home, work)
    good = scalar("a", 1.0)
    broken = event_file(work, 0)
    broken.write_bytes(good + b"\xff" * 40 + good)
    event_file(work, 1).write_bytes(scalar("b", 2.0))
    following.look()
    file = following.follower._files[str(broken)]
    assert not file.given_up  # a network file system may still deliver what is missing
    assert file.damaged_since is not None
    file.damaged_since -= 60
    following.look()
    assert file.given_up
    assert sorted(points(home.only())) == [("a", 0.0, 1.0), ("b", 0.0, 2.0)]
    assert f"damaged at byte {len(good)}" in capsys.readouterr().err


def test_a_large_frame(tmp_path: Path) -> None:
    """[TBD-2] Larger than one read; waited for as a whole."""
    path = tmp_path / "events.out.tfevents.1.x"
    data = frame(b"\x22" + b"\x80\x80\x80\x04" + bytes(8 << 20)) + scalar("a", 1.0)
    file = EventFile(str(path))
    path.write_bytes(data[: 5 << 20])
    assert file.read() == []
    path.write_bytes(data)
    assert [point.tag for point in file.read()] == ["a"]


def test_numbers_and_objects_of_one_name(home: Home, tmp_path: Path) -> None:
    """[TBD-3] The later kind is put below the path, so that both are kept."""
    from tensorboard_support import event, field, tensor, value

    work = tmp_path / "work"
    work.mkdir()
    following = Following(home, work)
    text = event(value("same", 8, tensor(7, [], field(8, b"hello")), "text"))
    event_file(work).write_bytes(scalar("same", 1.0) + text)
    following.look()
    assert points(home.only()) == [("same", 0.0, 1.0)]
    assert [data["path"] for data in home.only().of(journal.OBJECT)] == ["same/text"]


def test_whose_file_it_is(tmp_path: Path) -> None:
    """[TBD-4] By who holds it or is named by it, and the run that they belong to."""
    if not os.path.isdir("/proc/self"):
        pytest.skip("there is no /proc")
    paths = [tmp_path / name for name in ("ours", "foreign", "stranger", "nobody")]
    holders = []
    hold = "import sys, time; file = open(sys.argv[1], 'w'); print('held', flush=True); time.sleep(60)"
    clean = {name: text for name, text in os.environ.items() if name != "FIELDBOOK_RUN_ID"}
    for path, run in zip(paths, ("mine", "other", None)):
        variables = {**clean, **({"FIELDBOOK_RUN_ID": run} if run else {})}
        holders.append(
            subprocess.Popen([sys.executable, "-S", "-c", hold, str(path)], env=variables, stdout=subprocess.PIPE)
        )
    try:
        for holder in holders:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
        named = tmp_path / f"events.out.tfevents.1.host.{holders[1].pid}.0"
        asked = [*map(str, paths), str(named)]
        assert list(Owners("mine", 1 << 30).of(asked).values()) == [OURS, FOREIGN, STRANGER, NOBODY, FOREIGN]
        # Its environment may be wiped: then by whom it descends from.
        assert Owners("mine", os.getpid()).of([str(paths[2])]) == {str(paths[2]): OURS}
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


WRITE = """
import sys, time, pathlib
sys.path.insert(0, sys.argv[1])
from tensorboard_support import scalar
folder = pathlib.Path("runs") / sys.argv[2]
folder.mkdir(parents=True)
with open(folder / f"events.out.tfevents.{int(time.time())}.host", "wb", buffering=0) as file:
    for step in range(5):
        file.write(scalar("loss", float(sys.argv[3]), step))
    print("written", flush=True)
    while not pathlib.Path(sys.argv[4]).exists(): time.sleep(0.05)
    file.write(scalar("loss", 99.0, 5))
"""


def test_a_command_is_followed_live(home: Home, tmp_path: Path) -> None:
    """[TBD-4] Points are there while it runs, the last ones when it has ended, and of two commands in one folder each has its own."""
    work = tmp_path / "work"
    work.mkdir()
    gate = tmp_path / "gate"
    support = str(Path(__file__).parent)

    def start(name: str, number: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WRITE, support, name, number, str(gate)]
        return begin(home, "-p", name, "--no-capture", "--", *words, cwd=work)

    both = [start("a", "1"), start("b", "2")]

    def of(name: str) -> list[tuple[str, float, float]]:
        return [point for found in home.journals() if meta(found)["project"] == name for point in points(found)]

    try:
        for name, number in (("a", 1.0), ("b", 2.0)):
            until(lambda name=name: len(of(name)) >= 5, f"the points of {name}")  # type: ignore[misc]
            assert of(name) == [("loss", float(step), number) for step in range(5)]
    finally:
        gate.touch()  # else they would wait for it for ever
    for process in both:
        assert process.wait(timeout=60) == 0
        process.communicate()
    for name in "ab":
        assert of(name)[5:] == [("loss", 5.0, 99.0)]


def test_a_kill_before_the_note(home: Home, tmp_path: Path) -> None:
    """[TBD-4] Events that were recorded by a process that died before it noted so are not recorded again, the same ones twice over included."""
    logs = tmp_path / "logs"
    logs.mkdir()
    path = logs / "events.out.tfevents.1700000000.x"
    events = [
        scalar("loss", 1.0, 0),
        scalar("loss", 2.0, 1),
        scalar("loss", 2.0, 1),
        event(value("note", 8, tensor(7, [1], field(8, b"a")), "text"), 1),
    ]
    path.write_bytes(b"".join(events))
    dies = (
        "import os, sys, fieldbook.tensorboard_import as program; from fieldbook.tensorboard_follow import State\n"
        "State.save = lambda *_, **__: os._exit(9)\n"
        "program.main(sys.argv[1:])\n"
    )
    for more in (b"", scalar("loss", 3.0, 2)):
        with path.open("ab") as file:
            file.write(more)
        # Twice, because the second one has the journals of two before it.
        died = subprocess.run([sys.executable, "-c", dies, str(logs), "-p", "x"], env=environ(home), check=False)
        assert died.returncode == 9
    path.open("ab").write(scalar("loss", 4.0, 3))
    assert take_in([str(logs), "-p", "x", "--home", str(home.path)]) == 0
    found = sorted(point for one in home.journals() for point in points(one))
    assert found == [("loss", 0.0, 1.0), ("loss", 1.0, 2.0), ("loss", 1.0, 2.0), ("loss", 2.0, 3.0), ("loss", 3.0, 4.0)]
    assert [data["text"] for one in home.journals() for data in one.of(journal.OBJECT)] == ["a"]
    state = json.loads(next((home.path / "tensorboard").glob("*.json")).read_text())
    assert len(state["since"]) == 1


def test_watch_follows_what_others_write(home: Home, tmp_path: Path) -> None:
    """[TBD-4] A folder that was named, whoever writes there."""
    logs = tmp_path / "logs"
    logs.mkdir()
    process = begin(
        home,
        "-p",
        "x",
        "--no-capture",
        "--watch",
        str(logs),
        "--",
        "sh",
        "-c",
        "echo up; read gone < /dev/stdin; sleep 60",
    )
    assert process.stdout is not None
    process.stdout.readline()
    until(home.journals, "the journal")
    with event_file(logs).open("wb") as file:  # held by this very process, which has nothing to do with the command
        file.write(scalar("loss", 3.0, 1))
        file.flush()
        until(lambda: points(home.only()) == [("loss", 1.0, 3.0)], "the point")
    process.terminate()
    process.communicate(timeout=60)


TRAINING = """
import os, time
import numpy
from tensorboardX import SummaryWriter
writer = SummaryWriter("runs/one")
for step in range(200):
    writer.add_scalar("train/loss", 1 / (step + 1), step)
writer.add_text("note", "*hello*", 3)
writer.add_histogram("weights", numpy.arange(100.0), 4)
writer.add_image("picture", numpy.zeros((3, 8, 8), dtype=numpy.uint8), 5)
print("written", flush=True)
while not os.path.exists("gate"):  # a flush does not wait for the queue behind which it writes
    writer.flush()
    time.sleep(0.05)
writer.add_hparams({"lr": 0.1}, {"score": 0.5})
writer.add_scalar("train/loss", 7.0, 200)
writer.close()
"""


def test_a_training_is_followed_live(home: Home, tmp_path: Path) -> None:
    """[TBD-4] What tensorboardX writes is in the journal while the command still runs, and the rest when it has ended."""
    (tmp_path / "train.py").write_text(TRAINING)
    process = begin(home, "-p", "x", "--no-capture", "--", sys.executable, "train.py", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    until(
        lambda: {data["kind"] for data in home.only().of(journal.OBJECT)} >= {"text", "histogram", "image"}, "objects"
    )
    assert len(points(home.only())) == 200
    (tmp_path / "gate").touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    run = home.only()
    losses = [point for point in points(run) if point[0] == "train/loss"]
    assert [step for _, step, _ in losses] == list(range(201))
    assert losses[-1][2] == 7.0
    assert attributes(run)["params/lr"] == 0.1
    assert "score" in {path.rpartition("/")[2] for path, _, _ in points(run)}


@pytest.mark.parametrize("library", ["torch", "tensorboardX"])
def test_import(home: Home, tmp_path: Path, library: str, capsys: pytest.CaptureFixture[str]) -> None:
    """[TBD-5] A folder is a run with points, objects and hyper-parameters; again adds nothing, and more adds what is more."""
    logs = tmp_path / "logs"
    shutil.copytree(GOLDEN / library, logs / "one")
    (logs / "two").mkdir()
    (logs / "two" / "events.out.tfevents.1700000000.x").write_bytes(scalar("loss", 1.0))
    assert take_in([str(logs), "-p", "old runs", "-t", "imported"]) == 0
    assert len(home.journals()) == 2
    one = next(found for found in home.journals() if meta(found)["name"] == "one")
    assert (meta(one)["project"], meta(one)["tags"], meta(one)["created"]) == (
        "old runs",
        ["imported"],
        1_700_000_000_250.0,
    )
    assert attributes(one) == {
        "params/lr": 0.1,
        "params/opt": "adam",
        "params/amp": True,
        "tensorboard/session": "success",
    }
    paths = {path for path, _, _ in points(one)}
    assert {"train/loss", "odd/%/tagé", "big", "hparam/acc"} <= paths
    assert ({"both_a/both", "both_b/both"} if library == "torch" else {"both/a/both", "both/b/both"}) <= paths
    kinds = {data["path"]: data["kind"] for data in one.of(journal.OBJECT)}
    assert kinds["note"] == "text"
    assert kinds["weights"] == "histogram"
    assert kinds["picture"] == "image"
    image = next(data["file"] for data in one.of(journal.OBJECT) if data["kind"] == "image")
    spooled = next((home.path / "journals").glob(f"*/*/{one.writer}.files/{image['spool']}"))
    assert (image["mime"], spooled.stat().st_size) == ("image/png", image["size"])
    end = close(one)
    assert end is not None
    assert end["status"] == "finished"
    before = len(home.files())
    assert take_in([str(logs), "-p", "old runs"]) == 0
    assert len(home.files()) == before
    with (logs / "two" / "events.out.tfevents.1700000000.x").open("ab") as file:
        file.write(scalar("loss", 2.0, 1))
    assert take_in([str(logs), "-p", "old runs"]) == 0
    two = [found for found in home.journals() if meta(found)["name"] == "two"]
    assert len({meta(found)["run"] for found in two}) == 1
    assert sorted(point for found in two for point in points(found)) == [("loss", 0.0, 1.0), ("loss", 1.0, 2.0)]
    assert "1 points" in capsys.readouterr().out
    # In another project they are other runs.
    assert take_in([str(logs), "-p", "elsewhere"]) == 0
    assert len({meta(found)["run"] for found in home.journals() if meta(found)["name"] == "two"}) == 2


def test_import_says_what_is_wrong(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """[TBD-5] No folder, nothing in it, no words."""
    assert take_in([str(tmp_path / "none")]) == 3
    assert take_in([str(tmp_path)]) == 3
    assert take_in([]) == 2
    assert take_in([str(tmp_path), "-p", "///"]) == 2
    assert home.files() == []
    capsys.readouterr()


def test_state_is_a_small_file(home: Home, tmp_path: Path) -> None:
    """[TBD-4] Replaced as a whole, and a broken one is begun anew."""
    work = tmp_path / "work"
    work.mkdir()
    following = Following(home, work)
    event_file(work).write_bytes(scalar("loss", 1.0))
    following.look()
    path = home.path / "tensorboard" / "r.json"
    assert list(json.loads(path.read_text())["offsets"].values()) == [len(scalar("loss", 1.0))]
    path.write_text("{")
    assert tensorboard_follow.State(str(home.path), "r").offsets == {}
