"""run.log with objects, run[path].append and .extend of anything."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy
import pytest

import fieldbook
from fieldbook import journal, spool
from support import Home, close, points, start

PICTURE = numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3)


def rows(home: Home) -> list[tuple[str, float, str]]:
    return [(row["path"], row["step"], row["kind"]) for row in home.only().of(journal.OBJECT)]


def test_objects_and_numbers_of_one_call_share_the_step(home: Home) -> None:
    """[CLT-7]"""
    with fieldbook.init("p") as run:
        run.log({"loss": 0.5, "sample": fieldbook.Image(PICTURE), "note": "fine", "in": {"acc": 1}}, step=3)
        run.log({"loss": 0.25, "sample": PICTURE})
    assert points(home.only()) == [("loss", 3, 0.5), ("in/acc", 3, 1), ("loss", 4, 0.25)]
    assert rows(home) == [("sample", 3, "image"), ("note", 3, "text"), ("sample", 4, "image")]


def test_each_series_counts_by_itself(home: Home) -> None:
    """[CLT-7]"""
    with fieldbook.init("p") as run:
        run["a"].append("one")
        run["a"].append("two", step=10)
        run["a"].append("three")
        run["b"].append("one")
        run["n"].append(1)
    assert rows(home) == [("a", 0, "text"), ("a", 10, "text"), ("a", 11, "text"), ("b", 0, "text")]
    assert points(home.only()) == [("n", 0, 1)]


def test_several_objects_of_one_call_lie_at_one_step(home: Home) -> None:
    """[CLT-7]"""
    with fieldbook.init("p") as run:
        run["batch"].append([PICTURE, fieldbook.Image(PICTURE, caption="second")])
        run["batch"].append([PICTURE, PICTURE])
        with pytest.raises(ValueError, match="1001 objects"):
            run["batch"].append(["x"] * 1001)
    assert [step for _, step, _ in rows(home)] == [0, 0, 1, 1]


def test_extend(home: Home) -> None:
    with fieldbook.init("p") as run:
        run["loss"].extend([0.5, 0.25], steps=[10, 20])
        run["loss"].extend(numpy.array([1, 2], numpy.float32))
        run["loss"].extend(value for value in (3, 4))
        run["words"].extend(["a", "b"], steps=(5, 6))
        run["words"].extend([])
        with pytest.raises(ValueError, match="steps must be as many as the 2"):
            run["loss"].extend([1, 2], steps=[1])
        with pytest.raises(TypeError, match="steps"):
            run["loss"].extend([1], steps=3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="values"):
            run["loss"].extend("abc")
        with pytest.raises(TypeError, match="'loss'"):
            run["loss"].extend([1.0, None])
        with pytest.raises(TypeError, match=r"values\[1\]"):
            run["words"].extend(["a", 1])
    assert points(home.only()) == [
        ("loss", 10, 0.5),
        ("loss", 20, 0.25),
        ("loss", 21, 1),
        ("loss", 22, 2),
        ("loss", 23, 3),
        ("loss", 24, 4),
    ]
    assert rows(home) == [("words", 5, "text"), ("words", 6, "text")]


def test_a_file_of_an_object_lies_in_the_spool_with_its_digest(home: Home) -> None:
    """[CLT-1] [CLT-7]"""
    with fieldbook.init("p") as run:
        run["page"].append(fieldbook.Html("<b>hi</b>", caption="greeting", meta={"lang": "en"}), step=2)
    (row,) = home.only().of(journal.OBJECT)
    folder = home.path / "journals/p" / run.id / f"{home.only().writer}.files"
    data = (folder / row["file"]["spool"]).read_bytes()
    assert data == b"<b>hi</b>"
    assert row["file"] == {
        "spool": row["file"]["spool"],
        "name": "page.html",
        "size": 9,
        "sha256": spool.sha256(data),
        "mime": "text/html; charset=utf-8",
    }
    assert row["meta"] == {"lang": "en", "caption": "greeting"}


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"loss": 1.0, "x": numpy.zeros(3)}, TypeError, "'x' must be one number.*Histogram"),
        ({"loss": 1.0, "x": numpy.zeros((2, 2, 7))}, TypeError, r"'x': image must have the shape.*\(2, 2, 7\)"),
        ({"loss": 1.0, "x": numpy.zeros((1, 2, 2, 3))}, TypeError, "'x': image must have the shape"),
        ({"loss": 1.0, "x": [1, 2]}, TypeError, "'x' must be one number, not a list"),
        ({"loss": 1.0, "x": object()}, TypeError, "'x'"),
        ({"loss": 1.0, "x": None, "y": "text"}, TypeError, "'x'"),
        ({"loss": 1.0, "x//y": "text"}, ValueError, "series' name"),
        ({"x": "text", "loss": numpy.array(["a"])}, TypeError, "loss"),
    ],
)
def test_mistakes_raise_at_once_and_record_nothing_of_the_call(
    home: Home, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    """[CLT-8]"""
    with fieldbook.init("p") as run:
        with pytest.raises(error, match=says):
            run.log(given, step=1)
        with pytest.raises(TypeError, match="step"):
            run.log({"y": "text"}, step="ten")
    assert points(home.only()) == []
    assert rows(home) == []
    with fieldbook.init("p", mode="disabled") as off, pytest.raises(error, match=says):
        off.log(given)


def test_a_path_is_a_series_of_numbers_or_of_objects(home: Home) -> None:
    """[CLT-8]"""
    with fieldbook.init("p") as run:
        run.log({"a": 1})
        run["b"].append("text")
        with pytest.raises(ValueError, match="'a' is a series of numbers"):
            run.log({"a": "text", "b": "more"})
        with pytest.raises(ValueError, match="'b' is a series of objects"):
            run.log({"b": 1})
    assert points(home.only()) == [("a", 0, 1)]
    assert rows(home) == [("b", 0, "text")]


def test_long_texts_become_files_of_the_series(home: Home) -> None:
    text = "é" * 40_000
    with fieldbook.init("p") as run:
        run["answer"].append("short")
        run["answer"].append(text)
    short, long = home.only().of(journal.OBJECT)
    assert (short["kind"], short["text"]) == ("text", "short")
    assert (long["kind"], long["file"]["mime"]) == ("file", "text/plain; charset=utf-8")
    folder = next((home.path / "journals/p" / run.id).glob("*.files"))
    assert (folder / long["file"]["spool"]).read_text("utf-8") == text


def test_secrets_in_texts_do_not_reach_the_disk(home: Home) -> None:
    with fieldbook.init("p") as run:
        run["log"].append("cloned https://ada:hunter2hunter2@example.org/x")
    assert b"hunter2" not in home.files()[0].read_bytes()


def test_what_is_larger_than_an_object_may_be_is_told(home: Home, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with fieldbook.init("p") as run, pytest.raises(ValueError, match="upload"):
        run["x"].append(fieldbook.File(big))
    assert not list((home.path / "journals/p" / run.id).glob("*.files"))


def test_a_full_disk_counts_the_objects_that_it_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """[CLT-2]"""
    run = fieldbook.init("p", capture=False)
    run.log({"loss": 1.0})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_write_all", full)
        for _ in range(3):
            run.log({"loss": 2.0, "sample": PICTURE})
    run.log({"loss": 3.0, "sample": PICTURE})
    run.finish()
    found = home.only()
    assert found.state == "clean"
    assert sum(gap["points"] for gap in found.of(journal.GAP)) == 3
    assert {gap["reason"] for gap in found.of(journal.GAP)} == {"ENOSPC"}
    assert (close(found) or {})["dropped"] == 3
    assert len(points(found)) == 5
    assert [step for _, step, _ in rows(home)] == [0]
    assert capfd.readouterr().err.count("No space left") == 1


def test_ranks_that_record_nothing_write_no_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with fieldbook.init("p", run_id="r", capture=False) as run:
        run.log({"loss": 1, "sample": PICTURE})
        run["x"].extend(["a"])
    assert rows(home) == []
    assert not list((home.path / "journals/p/r").glob("*.files"))


def test_a_forked_child_has_a_spool_of_its_own(home: Home) -> None:
    """[JRN-11]"""
    script = """
import os, fieldbook
run = fieldbook.init("p", run_id="r", capture=False)
run["page"].append(fieldbook.Html("parent"))
if os.fork() == 0:
    run["page"].append(fieldbook.Html("child"))
    os._exit(0)
os.wait()
"""
    process = start(script, home)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    for found in home.journals():
        (row,) = found.of(journal.OBJECT)
        data = (home.path / "journals/p/r" / f"{found.writer}.files" / row["file"]["spool"]).read_text()
        assert data == ("child" if found.records[0].data["forked"] else "parent")


def test_objects_logged_from_a_signal_handler_inside_a_call(home: Home) -> None:
    script = """
import os, signal, fieldbook
from fieldbook import writer
run = fieldbook.init("p", capture=False)
run.log({"a": 0})
signal.signal(signal.SIGUSR1, lambda *a: run["b"].append(["x", "y"]))
real = writer.write
def write(fd, data):
    writer.write = real
    os.kill(os.getpid(), signal.SIGUSR1)
    return real(fd, data)
writer.write = write
run.log({"a": 1})
run.finish()
"""
    process = start(script, home)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert rows(home) == [("b", 0, "text"), ("b", 0, "text")]
    assert points(home.only()) == [("a", 0, 0), ("a", 1, 1)]
