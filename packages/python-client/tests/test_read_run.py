"""``fieldbook.run(id)``: everything under the paths of a run, from its journals, and the changes that may be made to it."""

from __future__ import annotations

import datetime
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from fieldbook import journal, read_writer
from support import Home, run_script


def make(run_id: str = "one", **options: Any) -> fieldbook.Run:
    return fieldbook.init("digits", run_id=run_id, **{"capture": False, **options})


def test_finds_a_run_by_id_by_its_beginning_and_by_name(home: Home) -> None:
    """[RDB-6] What fits several runs is refused with all of them, what fits none with where it was looked for."""
    make("abcdef", name="first").finish()
    make("abcxyz", name="twin").finish()
    make("zzzz", name="twin").finish()
    assert fieldbook.run("abcdef").name == "first"
    assert fieldbook.run("abcd").id == "abcdef"
    assert fieldbook.run("first").id == "abcdef"
    assert fieldbook.run("first", "Digits").id == "abcdef"
    with pytest.raises(ValueError, match=r"any of .*abcxyz.*zzzz"):
        fieldbook.run("twin")
    with pytest.raises(ValueError, match="no run 'abc' in "):
        fieldbook.run("abc")
    with pytest.raises(ValueError, match="project 'other'"):
        fieldbook.run("abcdef", "other")
    with pytest.raises(TypeError, match="run must be an id"):
        fieldbook.run(3)  # type: ignore[arg-type]


def test_attributes(home: Home) -> None:
    """[RDB-7] As they were set, removed and set again; by path or all at once."""
    with make(config={"lr": 0.1, "model": {"depth": 3, "old": 1}}) as run:
        run["when"] = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)
        run["odd"] = {"nan": math.nan, "huge": 2**70, "none": None, "flag": True, "texts": ["a", "b"]}
        del run["params/model"]
        run["params/model/depth"] = 4
    found = fieldbook.run("one")
    assert {path: value for path, value in found.attributes.items() if path != "odd/nan"} == {
        "params/lr": 0.1,
        "params/model/depth": 4,
        "when": datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc),
        "odd/huge": str(2**70),
        "odd/none": None,
        "odd/flag": True,
        "odd/texts": ["a", "b"],
    }
    assert math.isnan(found["odd/nan"].value)
    assert found["params"]["lr"].value == 0.1
    assert found["odd/none"].value is None
    with pytest.raises(KeyError, match="params/none"):
        found["params/none"].value  # noqa: B018
    with pytest.raises(ValueError, match="empty part"):
        found["params//lr"]


def test_series(home: Home) -> None:
    """[RDB-8] Every point, by step, repeated ones in the order logged, whatever the values."""
    points = [(3, 0.5), (1, math.nan), (1, -0.0), (2.5, math.inf), (0, 1e300)]
    with make() as run:
        for step, value in points:
            run.log({"loss": value, "other": step}, step=step)
    found = fieldbook.run("one")["loss"]
    assert found.steps() == [0, 1, 1, 2.5, 3]
    assert repr(found.values()) == "[1e+300, nan, -0.0, inf, 0.5]"
    times = found.times()
    assert all(time == math.floor(time) for time in times)
    assert found.value == 1e300
    assert found.summary == {
        "count": 5,
        "last": 1e300,
        "lastStep": 0,
        "min": -0.0,
        "minStep": 1,
        "max": 1e300,
        "maxStep": 0,
        "nonFinite": 2,
    }
    assert fieldbook.run("one").metrics["other"]["count"] == 5
    with pytest.raises(KeyError, match="nothing"):
        fieldbook.run("one")["nothing"].values()


def test_series_as_a_data_frame(home: Home) -> None:
    """[RDB-8] With step, time and value."""
    pytest.importorskip("pandas")
    with make() as run:
        run["loss"].extend([3.0, 2.0], steps=[1, 2])
    frame = fieldbook.run("one")["loss"].to_pandas()
    assert list(frame.columns) == ["step", "time", "value"]
    assert list(frame["value"]) == [3.0, 2.0]
    assert str(frame["time"].dt.tz) == "UTC"


def test_series_of_texts_and_pictures_and_the_console(home: Home) -> None:
    """[RDB-9] Texts as texts, everything else as rows whose bytes can be read."""
    pixels = b"\x89PNG not really"
    with make() as run:
        run["says"].append("hello", step=2)
        run["says"].append("world", step=1)
        run["pages"].append(fieldbook.Html("<p>x</p>", caption="a page"), step=7)
        run["spread"].append(fieldbook.Histogram([1, 2, 2, 3]), step=0)
        run["files"].append(fieldbook.File(pixels, name="x.png"), step=3)
        run._console(journal.STDOUT, "one\ntwo")
        run._console(journal.STDOUT, "thr", 1)
        run._console(journal.STDOUT, "three")
        run._console(journal.STDOUT, "four", 1)
    found = fieldbook.run("one")
    assert found["says"].values() == ["world", "hello"]
    assert found["says"].steps() == [1, 2]
    (page,) = found["pages"].rows()
    assert (page.kind, page.step, page.meta["caption"]) == ("html", 7, "a page")
    assert page.read().endswith(b"<p>x</p>")
    assert found["spread"].rows()[0].data["counts"]
    (file,) = found["files"].rows()
    assert (file.read(), file.file and file.file["size"]) == (pixels, len(pixels))
    lines = found["console/stdout"].rows()
    assert [(line.step, line.text) for line in lines] == [(0, "one"), (1, "two"), (2, "three"), (3, "four")]
    with pytest.raises(FileNotFoundError, match="has no file"):
        lines[0].read()


def test_files(home: Home, tmp_path: Path) -> None:
    """[RDB-10] The current version of each path, its older ones, what was removed; and the bytes."""
    with make() as run:
        run["model"].upload(b"first", name="model.bin")
        run["model"].upload(b"second", name="model.bin")
        run["gone/a"].upload(b"x", name="a.txt")
        del run["gone"]
    found = fieldbook.run("one")
    assert [(file["path"], file["size"], file["current"]) for file in found.files()] == [
        ("gone/a", 1, False),
        ("model", 6, True),
        ("model", 5, False),
    ]
    place = found["model"].download(f"{tmp_path}/out/")
    assert place == str(tmp_path / "out" / "model.bin")
    assert Path(place).read_bytes() == b"second"
    assert Path(found["model"].download(tmp_path / "named.bin")).read_bytes() == b"second"
    with pytest.raises(KeyError):
        found["gone/a"].download(tmp_path)
    with pytest.raises(ValueError, match="destination must not be empty"):
        found["model"].download("")
    for spooled in home.path.glob("journals/*/*/*.files/*"):
        spooled.unlink()
    with pytest.raises(FileNotFoundError, match="an agent has stored them"):
        found["model"].download(tmp_path)


def test_several_writers_are_one_run(home: Home) -> None:
    """[RDB-11] A resumed run, a forked child, a companion: by the rules of the fold."""
    first = make(tags=["a"], notes="old", config={"lr": 1, "kept": 1, "group": {"x": 1}})
    first["loss"].extend([5.0, 4.0], steps=[0, 1])
    first._end_with(RuntimeError("no"))
    second = make(tags=["b"], notes="new", config={"lr": 2})
    del second["params/group"]
    second["loss"].extend([3.0, 9.0], steps=[1, 2])
    second.finish()
    script = (
        "import fieldbook, os\n"
        "run = fieldbook.init('digits', run_id='forked', capture=False)\n"
        "run.log({'x': 1.0}, step=0)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    run.log({'x': 2.0}, step=1); os._exit(0)\n"
        "os.waitpid(pid, 0); run.finish()"
    )
    assert run_script(script, home)[0] == 0
    found = fieldbook.run("one")
    assert (found.status, found.notes, found.tags) == ("finished", "new", ["a", "b"])
    assert found.attributes == {"params/lr": 2, "params/kept": 1}
    assert found["loss"].steps() == [0, 1, 1, 2]
    assert sorted(found["loss"].values()) == [3.0, 4.0, 5.0, 9.0]
    assert found.metrics["loss"] == {
        "count": 4,
        "last": 9.0,
        "lastStep": 2,
        "min": 3.0,
        "minStep": 1,
        "max": 9.0,
        "maxStep": 2,
        "nonFinite": 0,
    }
    forked = fieldbook.run("forked")
    assert (forked.status, forked["x"].values()) == ("finished", [1.0, 2.0])


def test_rotated_files_are_one_series(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RDB-11] A writer's files are read in the order of their numbers, and one that was taken away is missed."""
    from fieldbook import writer

    monkeypatch.setattr(writer, "ROTATE_BYTES", 4096)
    with make() as run:
        for step in range(1000):
            run.log({"loss": float(step)}, step=step)
    files = home.files()
    assert len(files) > 3
    assert fieldbook.run("one")["loss"].values() == [float(step) for step in range(1000)]
    files[1].unlink()
    with pytest.raises(FileNotFoundError, match="taken away"):
        fieldbook.run("one")["loss"].values()


def test_damage_costs_what_is_damaged(home: Home) -> None:
    """[RDB-11] What validates behind the damage is read; a tail that is not whole is no damage."""
    with make() as run:
        for step in range(100):
            run.log({"loss": float(step)}, step=step)
    (file,) = home.files()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data + b"\x30\0\0\0torn")
    found = fieldbook.run("one")["loss"].values()
    assert 97 <= len(found) < 100
    assert found[-1] == 99.0
    file.write_bytes(b"FBJ1 but nothing else")
    with pytest.raises(ValueError, match="no run"):
        fieldbook.run("one")


def test_changes_after_the_end(home: Home) -> None:
    """[RDB-12] Without an agent they are a further writer, and a failed run stays failed."""
    run = make(config={"lr": 0.1, "model": {"depth": 3}}, tags=["a"])
    ended = RuntimeError("no")
    run._end_with(ended)
    found = fieldbook.run("one")
    before = (found.status, found.ended, found.user, found.host, found.name)
    found["params/lr"] = 0.2
    found["late"] = {"accuracy": 0.9, "nan": math.nan}
    found["late"]["who"] = "me"
    found.tags.add("paper", "x")
    del found["params/model"]
    for state in (found, fieldbook.run("one")):
        assert {path: value for path, value in state.attributes.items() if path != "late/nan"} == {
            "params/lr": 0.2,
            "late/accuracy": 0.9,
            "late/who": "me",
        }
        assert state.tags == ["a", "paper", "x"]
        assert (state.status, state.ended, state.user, state.host, state.name) == before
    with pytest.raises(KeyError):
        del found["nothing"]
    with pytest.raises(RuntimeError, match="needs this machine's agent"):
        found.tags.remove("a")
    with pytest.raises(ValueError, match="empty part"):
        found["/x"] = 1


def test_what_is_read_is_what_was_recorded_by_killed_processes(home: Home) -> None:
    """[RDB-8] kill -9 in the middle of logging: every call that returned is read back."""
    script = (
        "import fieldbook, os, sys\n"
        "run = fieldbook.init('digits', run_id='killed', capture=False)\n"
        "step = 0\n"
        "while True:\n"
        "    run.log({'loss': float(step)}, step=step); os.write(1, b'%d\\n' % step); step += 1"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(fieldbook.__file__).parents[1]), "FIELDBOOK_HOME": str(home.path)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    head = [process.stdout.readline() for _ in range(2000)]
    process.kill()
    rest = process.stdout.read().split(b"\n")
    process.wait()
    process.stdout.close()
    said = len(head) + len(rest) - 1
    found = fieldbook.run("killed")
    logged = found["loss"].values()
    assert logged == [float(step) for step in range(len(logged))]
    assert said <= len(logged) <= said + 1
    assert found.status == "crashed"


def test_reading_costs_bytes_and_not_points(home: Home) -> None:
    """[RDB-8] Only the points of the path that was asked for are gathered."""
    with make() as run:
        for step in range(50):
            run.log({"a": 1.0, "b": 2.0}, step=step)
    (path,) = [str(path) for path in home.files()]
    writer = read_writer.Writer("x", "b").read([path])
    assert (len(writer.points), len(writer.rows), sorted(writer.metrics)) == (50, 0, ["a", "b"])
