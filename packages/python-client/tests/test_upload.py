"""run[path].upload."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy
import pandas
import plotly.graph_objects
import pytest
from matplotlib.figure import Figure
from PIL import Image as Pillow

import fieldbook
from fieldbook import journal, spool
from support import Home, run_script, start


def kept(home: Home) -> list[tuple[dict[str, Any], bytes]]:
    """FILE records in order, each with its content."""
    result = []
    for path, found in zip(home.files(), home.journals()):
        folder = path.parent / f"{found.writer}.files"
        for record in found.of(journal.FILE):
            result.append((record, (folder / record["spool"]).read_bytes() if record["spool"] else b""))
    return result


def test_paths_bytes_and_open_files(home: Home, tmp_path: Path) -> None:
    """[CLT-13]"""
    path = tmp_path / "model v1.pt"
    path.write_bytes(b"weights")
    with fieldbook.init("p", capture=False) as run:
        run["a"].upload(path)
        run["a"].upload(
            str(path), name="other.pt", kind="model", meta={"epoch": 3, "val": float("nan")}, travel="request"
        )
        run["deep/b"].upload(b"bytes")
        run["c"].upload(io.BytesIO(b"stream"), mime="application/x-mine")
        run["d"].upload(io.StringIO("ü"))
        with path.open("rb") as file:
            file.seek(3)
            run["e"].upload(file)
    found = kept(home)
    assert [data for _, data in found] == [b"weights", b"weights", b"bytes", b"stream", "ü".encode(), b"ghts"]
    assert [(record["path"], record["name"], record["kind"]) for record, _ in found] == [
        ("a", "model v1.pt", "file"),
        ("a", "other.pt", "model"),
        ("deep/b", "b", "file"),
        ("c", "c", "file"),
        ("d", "d", "file"),
        ("e", "model v1.pt", "file"),
    ]
    assert found[1][0]["meta"] == {"epoch": 3, "val": {"f": "nan"}}
    assert found[1][0]["travel"] == "request"
    assert found[3][0]["mime"] == "application/x-mine"
    assert found[0][0]["mtime"] == pytest.approx(path.stat().st_mtime * 1000)
    assert all(record["size"] == len(data) for record, data in found)


def test_a_checkpoint_may_be_rotated_away_at_once(home: Home, tmp_path: Path) -> None:
    """[CLT-13]"""
    last = tmp_path / "last.ckpt"
    with fieldbook.init("p", capture=False) as run:
        for step in range(3):
            last.write_bytes(b"%d" % step * 1_000_000)
            run["checkpoints/last"].upload(last)
            last.unlink()
        last.write_bytes(b"linked")
        run["checkpoints/last"].upload(last, link=True)
        os.replace(_write(tmp_path / "next", b"newer"), last)
    assert [data[:1] + data[-1:] for _, data in kept(home)] == [b"00", b"11", b"22", b"ld"]


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_an_upload_is_complete_when_the_process_is_killed_right_after(home: Home, tmp_path: Path) -> None:
    """[CLT-1] [CLT-13]"""
    path = _write(tmp_path / "model.pt", os.urandom(5_000_000))
    script = """
import os, sys, fieldbook
fieldbook.init("p", capture=False)["model"].upload(sys.argv[1])
os.kill(os.getpid(), 9)
"""
    process = start(script, home, str(path))
    process.communicate(timeout=60)
    ((record, data),) = kept(home)
    assert record["size"] == 5_000_000
    assert data == path.read_bytes()


def test_figures_pictures_frames_and_objects(home: Home) -> None:
    """[CLT-13]"""
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    with fieldbook.init("p", capture=False) as run:
        run["plot"].upload(figure)
        run["picture"].upload(Pillow.new("RGB", (2, 2)))
        run["sample"].upload(fieldbook.Image(numpy.zeros((2, 2)), caption="black"), meta={"more": 1})
        run["rows"].upload(pandas.DataFrame({"a": [1]}))
        run["chart"].upload(plotly.graph_objects.Figure())
        run["splits"].upload({"train": [1, 2], "test": [3]})
        run["text"].upload(fieldbook.Text("hello"))
    found = {record["path"]: (record, data) for record, data in kept(home)}
    (library,) = [path.partition("/")[2] for path in found if path.startswith("libraries/plotly-")]
    assert [(path, record["name"], record["mime"]) for path, (record, _) in found.items()] == [
        ("plot", "figure.png", "image/png"),
        ("picture", "image.png", "image/png"),
        ("sample", "image.png", "image/png"),
        ("rows", "table.json", "application/json"),
        ("chart", "figure.plotly.json", "application/vnd.plotly.v1+json"),
        (f"libraries/{library}", library, "text/javascript"),
        ("chart/html", "page.html", "text/html; charset=utf-8"),
        ("splits", "object.pkl", None),
        ("text", "text.txt", "text/plain; charset=utf-8"),
    ]
    assert found["sample"][0]["meta"] == {"width": 2, "height": 2, "caption": "black", "more": 1}
    assert json.loads(found["rows"][1]) == {"columns": ["a"], "rows": [[1]]}
    assert pickle.loads(found["splits"][1]) == {"train": [1, 2], "test": [3]}
    assert found["splits"][0]["kind"] == "file"


@pytest.mark.parametrize(
    ("source", "arguments", "error", "says"),
    [
        ("no/such/file.pt", {}, ValueError, "source: there is no file 'no/such/file.pt'"),
        (Path("/"), {}, ValueError, "source is the folder '/'"),
        (Path("/dev/null"), {}, ValueError, "source: '/dev/null' is a device, pipe or socket"),
        (None, {}, TypeError, "source must be"),
        (3, {}, TypeError, "source must be"),
        (lambda: 0, {}, TypeError, "source cannot be kept: function cannot be pickled"),
        (b"x", {"kind": "weights"}, ValueError, "kind"),
        (b"x", {"travel": "later"}, ValueError, "travel"),
        (b"x", {"name": "a/b"}, ValueError, "name"),
        (b"x", {"name": 3}, TypeError, "name"),
        (b"x", {"mime": 3}, TypeError, "mime"),
        (b"x", {"meta": 3}, TypeError, "meta"),
        (b"x", {"meta": {"x": ["y" * 4000] * 5}}, ValueError, "meta"),
    ],
    # The same in every process: a function's repr has its address.
    ids=lambda value: value.__name__ if callable(value) else repr(value),
)
def test_mistakes(home: Home, source: Any, arguments: Any, error: type[Exception], says: str) -> None:
    """[CLT-8]"""
    with fieldbook.init("p", capture=False) as run, pytest.raises(error, match=says):
        run["x"].upload(source, **arguments)
    assert kept(home) == []
    folder = home.path / "journals/p" / run.id
    assert not [name for spooled in folder.glob("*.files") for name in os.listdir(spooled)]
    if not callable(source):  # only trying to pickle it tells
        with fieldbook.init("p", mode="disabled") as off, pytest.raises(error, match=says):
            off["x"].upload(source, **arguments)


def test_a_file_that_cannot_be_read_is_named_and_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """[CLT-2]"""
    path = _write(tmp_path / "f.pt", b"12345")

    def vanish(*_: Any) -> None:
        path.unlink()
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(spool, "copy", vanish)
    with fieldbook.init("p", capture=False) as run:
        run["x"].upload(path)
        run.log({"loss": 1})
    ((record, _),) = kept(home)
    assert (record["spool"], record["lost"], record["size"], record["name"]) == (None, "vanished", 5, "f.pt")
    assert capfd.readouterr().err.count("f.pt") == 1
    assert home.only().values("loss") == [1]


def test_a_disk_without_room_for_a_file_goes_on_recording(home: Home, tmp_path: Path) -> None:
    """[CLT-2]"""
    pytest.importorskip("resource")
    script = """
import resource, signal, sys, fieldbook
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = fieldbook.init("p", capture=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
run["bytes"].upload(b"x" * 2_000_000)
run["path"].upload(sys.argv[1])
run["object"].upload([b"x" * 2_000_000])
run["small"].upload(b"fits")
run.log({"loss": 1})
run.finish()
"""
    path = _write(tmp_path / "f", b"x" * 2_000_000)
    code, _, err = run_script(script, home, str(path))
    assert code == 0, err
    assert [(record["path"], record.get("lost")) for record, _ in kept(home)] == [
        ("bytes", "EFBIG"),
        ("path", "EFBIG"),
        ("object", "EFBIG"),
        ("small", None),
    ]
    assert home.only().values("loss") == [1]
    folder = next((home.path / "journals/p").glob("*/*.files"))
    assert [name[7:] for name in os.listdir(folder)] == ["small"]


def test_ranks_above_zero_say_that_they_keep_no_files(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with fieldbook.init("p", run_id="r", capture=False) as run:
        run["x"].upload(b"1")
        run["x"].upload(b"2")
    assert kept(home) == []
    assert capfd.readouterr().err.count("all_ranks=True") == 1
    with fieldbook.init("p", run_id="r", all_ranks=True, capture=False) as run:
        run["x"].upload(b"3")
    assert [data for _, data in kept(home)] == [b"3"]


def test_finished_and_disabled_runs_keep_nothing(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    run = fieldbook.init("p", capture=False)
    run.finish()
    run["x"].upload(b"1")
    assert kept(home) == []
    assert "is finished" in capfd.readouterr().err
    with fieldbook.init("p", mode="disabled") as off:
        off["x"].upload(b"1")
        off["x"].upload({"any": "object"})
    assert len(home.files()) == 1
