"""fieldbook.Image, Figure, Html, Table, Histogram, Audio, Video, File and Text; and what is recognised without them."""

from __future__ import annotations

import io
import json
import math
import os
import re
import struct
import sys
import warnings
import wave
import zlib
from pathlib import Path
from typing import Any

import altair
import numpy
import pandas
import plotly.graph_objects
import pytest
from matplotlib.figure import Figure
from PIL import Image as Pillow

import fieldbook
from fieldbook import journal, media_image
from support import Home, run_script


def recorded(home: Home, value: Any) -> tuple[dict[str, Any], bytes]:
    """The OBJECT record of a value, and its file."""
    with fieldbook.init("p", capture=False) as run:
        run.log({"x": value})
    (found,) = [found for found in home.journals() if found.records[0].data["run"] == run.id]
    row = found.of(journal.OBJECT)[0]
    if "file" not in row:
        return row, b""
    return row, (home.path / "journals/p" / run.id / f"{found.writer}.files" / row["file"]["spool"]).read_bytes()


def opened(data: bytes) -> Any:
    return Pillow.open(io.BytesIO(data))


DICE = numpy.random.default_rng(7)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4), (1, 1, 3), (200, 3)], ids=str)
def test_arrays_are_pictures_pixel_by_pixel(home: Home, shape: tuple[int, ...]) -> None:
    """[CLT-9]"""
    pixels = DICE.integers(0, 256, shape, dtype=numpy.uint8)
    row, data = recorded(home, pixels)
    assert (row["kind"], row["file"]["mime"]) == ("image", "image/png")
    assert row["meta"] == {"width": shape[1], "height": shape[0]}
    picture = opened(data)
    picture.verify()
    assert numpy.array_equal(numpy.asarray(opened(data)).reshape(shape), pixels)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),
        ([[0.0, 100.0, 300.0]], [[0, 100, 255]]),
        ([[-1.0, 0.0, 1.0]], [[0, 128, 255]]),
        ([[math.nan, math.inf, 0.5]], [[0, 255, 128]]),
        ([[True, False]], [[255, 0]]),
        ([[-5, 3, 300]], [[0, 3, 255]]),
        ([[-3.0, -3.0]], [[0, 0]]),
    ],
    ids=str,
)
def test_numbers_of_other_ranges(home: Home, given: Any, kept: Any) -> None:
    """[CLT-9]"""
    _, data = recorded(home, fieldbook.Image(numpy.array(given)))
    assert numpy.asarray(opened(data)).tolist() == kept


def test_sixteen_bits_stay(home: Home) -> None:
    """[CLT-9]"""
    pixels = DICE.integers(0, 65536, (6, 4), dtype=numpy.uint16)
    _, data = recorded(home, pixels)
    assert numpy.array_equal(numpy.asarray(opened(data)), pixels)


def test_the_filter_that_makes_a_picture_smaller_is_taken() -> None:
    smooth = numpy.add.outer(numpy.arange(64), numpy.arange(64) * 3).astype(numpy.uint8).reshape(64, 64, 1)
    drawn = numpy.zeros((64, 64, 1), numpy.uint8)
    drawn[::2] = 255
    for pixels, filters in ((smooth, {0, 2}), (drawn, {0})):
        data = media_image.png(pixels)
        idat = data[data.index(b"IDAT") + 4 :]
        raw = zlib.decompress(idat[: struct.unpack(">I", data[data.index(b"IDAT") - 4 :][:4])[0]])
        assert {raw[line * 65] for line in range(64)} == filters
        assert numpy.array_equal(numpy.asarray(opened(data)), pixels[:, :, 0])


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "CMYK", "P", "LA", "F", "I;16"])
def test_pillow_images(home: Home, mode: str) -> None:
    image = Pillow.new(mode, (6, 4))
    row, data = recorded(home, image)
    assert row["meta"] == {"width": 6, "height": 4}
    assert opened(data).size == (6, 4)


def test_encoded_pictures_stay_what_they_are(home: Home, tmp_path: Path) -> None:
    out = io.BytesIO()
    Pillow.new("RGB", (3, 2)).save(out, "JPEG")
    path = tmp_path / "photo.jpg"
    path.write_bytes(out.getvalue())
    for given in (path, str(path), out.getvalue(), open(path, "rb")):  # noqa: SIM115
        row, data = recorded(home, fieldbook.Image(given, caption="a photo"))
        assert data == out.getvalue()
        assert row["file"]["mime"] == "image/jpeg"
        assert row["meta"] == {"caption": "a photo"}


def test_matplotlib_draws_without_pyplot(home: Home) -> None:
    """[CLT-10]"""
    figure = Figure(figsize=(3, 2), dpi=100)
    axes = figure.add_subplot()
    axes.plot([1, 2, 3])
    for given, kind in ((figure, "figure"), (axes, "figure"), (fieldbook.Image(figure), "image")):
        row, data = recorded(home, given)
        assert (row["kind"], row["file"]["mime"]) == (kind, "image/png")
        assert opened(data).size == (300, 200)
        assert numpy.asarray(opened(data)).std() > 0
        assert row["meta"]["library"] == "matplotlib"
    assert "matplotlib.pyplot" not in sys.modules


def test_pyplots_figures_and_its_current_one_stay(home: Home) -> None:
    """[CLT-10]"""
    script = """
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt, fieldbook
first, _ = plt.subplots()
second, axes = plt.subplots()
with fieldbook.init("p", capture=False) as run:
    run["chart"].append(first)
assert plt.gcf() is second and plt.gca() is axes
assert plt.get_fignums() == [1, 2]
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    assert [row["kind"] for row in home.only().of(journal.OBJECT)] == ["figure"]


def test_plotly_is_kept_as_json_and_as_a_page(home: Home) -> None:
    """[CLT-10]"""
    figure = plotly.graph_objects.Figure(data=[plotly.graph_objects.Bar(y=[1, 3, 2])])
    with fieldbook.init("p", capture=False) as run:
        run["chart"].append(figure, step=4)
    drawn, page = home.only().of(journal.OBJECT)
    folder = next((home.path / "journals/p" / run.id).glob("*.files"))
    assert (drawn["path"], drawn["kind"], drawn["step"]) == ("chart", "figure", 4)
    assert drawn["file"]["mime"] == "application/vnd.plotly.v1+json"
    assert json.loads((folder / drawn["file"]["spool"]).read_text())["data"][0]["type"] == "bar"
    assert (page["path"], page["kind"], page["step"]) == ("chart/html", "html", 4)
    html = (folder / page["file"]["spool"]).read_text()
    assert "Plotly.newPlot" in html
    assert len(html) < 100_000


def test_pages_of_plotly_are_read_offline_with_the_library_beside_them(home: Home, tmp_path: Path) -> None:
    """[CLT-10]"""
    figure = plotly.graph_objects.Figure(data=[plotly.graph_objects.Bar(y=[1, 3, 2])])
    with fieldbook.init("p", run_id="r", capture=False) as run:
        for _ in range(3):
            run["chart"].append(figure)
        run["last"].upload(figure)
    (library,) = [row for row in home.only().of(journal.FILE) if row["path"].startswith("libraries/")]
    name = library["name"]
    assert re.fullmatch(r"plotly-\d+\.\d+\.\d+\.min\.js", name)
    found = fieldbook.run("r", "p")
    places = [
        found["chart/html"].rows()[1].download(f"{tmp_path}/step/"),
        found["last/html"].download(f"{tmp_path}/file/"),
    ]
    for place in map(Path, places):
        html = place.read_text()
        assert html.index(f'src="{name}"') < html.index("cdn.plot.ly"), "the network only where there is no file"
        assert "Plotly.newPlot" in html
        assert len(html) < 100_000
        assert place.with_name(name).read_bytes().startswith(b"/**\n* plotly.js v")
        assert place.with_name(name).stat().st_size == library["size"] > 1_000_000
    # What cannot be had is no trouble: the page says so itself.
    next(home.path.glob(f"journals/p/r/*.files/{library['spool']}")).unlink()
    assert os.listdir(os.path.dirname(found["last/html"].download(f"{tmp_path}/bare/"))) == ["page.html"]
    assert f"Put libraries/{name}" in (tmp_path / "bare" / "page.html").read_text()


def test_altair_is_kept_as_vega_lite_and_as_a_page(home: Home) -> None:
    """[CLT-10]"""
    chart = altair.Chart(pandas.DataFrame({"x": [1, 2], "y": [3, 4]})).mark_point().encode(x="x:Q", y="y:Q")
    with fieldbook.init("p", capture=False) as run:
        run["chart"].append(chart)
        run["both"].append(chart | chart)
    drawn, page, both, _ = home.only().of(journal.OBJECT)
    folder = next((home.path / "journals/p" / run.id).glob("*.files"))
    assert "vega.github.io" in json.loads((folder / drawn["file"]["spool"]).read_text())["$schema"]
    assert "vegaEmbed" in (folder / page["file"]["spool"]).read_text()
    assert both["kind"] == "figure"


def test_data_frames_and_other_tables(home: Home) -> None:
    """[CLT-11]"""
    frame = pandas.DataFrame({"id": [1, 2], "label": ["cat", None], "p": [0.5, math.nan]})
    wanted = {"columns": ["id", "label", "p"], "rows": [[1, "cat", 0.5], [2, None, {"f": "nan"}]]}
    row, _ = recorded(home, frame)
    assert row["kind"] == "table"
    assert [row["data"]["columns"], row["data"]["rows"][0]] == [wanted["columns"], wanted["rows"][0]]
    assert row["data"]["rows"][1][2] == {"f": "nan"}
    for given in (
        fieldbook.Table([[1, "cat", 0.5], [2, None, math.nan]], columns=["id", "label", "p"]),
        fieldbook.Table(columns=["id", "label", "p"], rows=[(1, "cat", 0.5), (2, None, math.nan)]),
        fieldbook.Table([{"id": 1, "label": "cat", "p": 0.5}, {"id": 2, "p": math.nan}]),
        fieldbook.Table({"id": [1, 2], "label": ["cat", None], "p": numpy.array([0.5, math.nan])}),
    ):
        row, _ = recorded(home, given)
        assert row["data"] == wanted
        assert row["meta"] == {"rows": 2}


def test_the_index_of_a_frame_is_a_column_when_it_says_something(home: Home) -> None:
    named = pandas.DataFrame({"n": [3, 4]}, index=pandas.Index(["a", "b"], name="who"))
    row, _ = recorded(home, named)
    assert row["data"] == {"columns": ["who", "n"], "rows": [["a", 3], ["b", 4]]}
    when = pandas.DataFrame({"n": [1]}, index=pandas.to_datetime(["2026-05-03T00:00:00Z"]))
    row, _ = recorded(home, when)
    assert row["data"]["rows"] == [[{"t": 1777766400000.0}, 1]]


def test_large_tables_are_files(home: Home) -> None:
    table = fieldbook.Table(columns=["i", "text"])
    for index in range(5000):
        table.add_row(index, "x" * 20)
    row, data = recorded(home, table)
    assert row["file"]["mime"] == "application/json"
    assert json.loads(data)["rows"][4999] == [4999, "x" * 20]


@pytest.mark.parametrize(
    ("data", "edges", "counts", "left_out"),
    [
        ([0.0, 1.0, 1.0, 4.0], [0, 1, 2, 3, 4], [1, 2, 0, 1], None),
        ((0, 1, 1, 4), [0, 1, 2, 3, 4], [1, 2, 0, 1], None),
        (numpy.array([[0.0, 1.0], [1.0, 4.0]]), [0, 1, 2, 3, 4], [1, 2, 0, 1], None),
        (numpy.array([0, 1, 1, 4], numpy.uint8), [0, 1, 2, 3, 4], [1, 2, 0, 1], None),
        ([0.0, math.nan, 4.0, math.inf], [0, 1, 2, 3, 4], [1, 0, 0, 1], 2),
        (numpy.array([0.0, math.nan, 4.0, math.inf]), [0, 1, 2, 3, 4], [1, 0, 0, 1], 2),
        ([3.0, 3.0], [2.5, 2.75, 3.0, 3.25, 3.5], [0, 0, 2, 0], None),
        (numpy.array([3.0, 3.0]), [2.5, 2.75, 3.0, 3.25, 3.5], [0, 0, 2, 0], None),
        ([], [0, 0.25, 0.5, 0.75, 1], [0, 0, 0, 0], None),
        (numpy.array([]), [0, 0.25, 0.5, 0.75, 1], [0, 0, 0, 0], None),
    ],
    ids=str,
)
def test_histograms(home: Home, data: Any, edges: Any, counts: Any, left_out: Any) -> None:
    """[CLT-11]"""
    row, _ = recorded(home, fieldbook.Histogram(data, bins=4))
    assert row["data"] == {"edges": edges, "counts": counts}
    assert row.get("meta", {}).get("nonfinite") == left_out


@pytest.mark.parametrize("kind", [list, numpy.array, lambda values: numpy.array(values, numpy.float32)])
@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([1e308, -1e308, 0.5e308], [1, 0, 0, 2]),
        ([sys.float_info.max] * 2, None),
        ([-sys.float_info.max] * 2, None),
        ([3.4e38, -3.4e38, -3.3e38, 0.0], [2, 0, 1, 1]),
        ([5e-324, 0.0], None),
        ([1e-40, 0.0, 1e-45], None),
        ([math.nan, math.inf], [0, 0, 0, 0]),
        ([], [0, 0, 0, 0]),
    ],
)
def test_histograms_of_diverged_and_vanished_values(
    kind: Any, values: list[float], counts: list[float] | None, home: Home
) -> None:
    """[CLT-11] A gradient that explodes does not end the training that logs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of what float32 does not hold
        given = kind(values)
    histogram = fieldbook.Histogram(given, bins=4)
    finite = [value for value in (given.tolist() if kind is not list else values) if math.isfinite(value)]
    assert sum(histogram.counts) == len(finite)
    assert all(map(math.isfinite, histogram.edges))
    assert histogram.edges == sorted(set(histogram.edges))
    assert all(histogram.edges[0] <= value <= histogram.edges[-1] for value in finite)
    if counts is not None and len(finite) == sum(counts):
        assert histogram.counts == counts


def test_histograms_agree_with_numpy(home: Home) -> None:
    values = DICE.normal(size=10_000)
    counts, edges = numpy.histogram(values, bins=50)
    for histogram in (
        fieldbook.Histogram(values, 50),
        fieldbook.Histogram(values.tolist(), 50),
        fieldbook.Histogram(counts=counts, edges=edges),
    ):
        assert numpy.allclose(histogram.edges, edges)
        assert numpy.abs(numpy.array(histogram.counts) - counts).sum() <= 2
        assert sum(histogram.counts) == 10_000


def test_sound_is_wav(home: Home) -> None:
    tone = numpy.sin(numpy.arange(800) / 10)
    for given, channels, first in (
        (tone, 1, tone[1]),
        (tone.tolist(), 1, tone[1]),
        (numpy.stack([tone, -tone], 1), 2, tone[1]),
        (numpy.stack([tone, -tone]), 2, tone[1]),
        ((tone * 32767).astype(numpy.int16), 1, tone[1]),
        (numpy.array([0.0, 3.0, math.nan]), 1, 1.0),
    ):
        row, data = recorded(home, fieldbook.Audio(given, rate=8000, caption="a tone"))
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (channels, 8000, 2)
            frames = numpy.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels)
        assert abs(frames[1, 0] / 32767 - first) < 1e-3
        assert row["meta"]["seconds"] == len(frames) / 8000
        assert row["meta"]["caption"] == "a tone"


def test_frames_are_an_animated_png(home: Home) -> None:
    frames = DICE.integers(0, 256, (3, 8, 6, 3), dtype=numpy.uint8)
    for given in (frames, frames.transpose(0, 3, 1, 2)):
        row, data = recorded(home, fieldbook.Video(given, fps=10))
        assert (row["kind"], row["file"]["mime"]) == ("video", "image/apng")
        assert row["meta"] == {"width": 6, "height": 8, "frames": 3, "fps": 10}
        picture = opened(data)
        assert picture.n_frames == 3
        for index in range(3):
            picture.seek(index)
            assert numpy.array_equal(numpy.asarray(picture.convert("RGB")), frames[index])
        assert picture.info["duration"] == 100


def test_files_and_texts(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("a,b")
    row, data = recorded(home, fieldbook.File(path))
    assert (row["kind"], row["file"]["name"], row["file"]["mime"], data) == (
        "file",
        "report.csv",
        "text/csv; charset=utf-8",
        b"a,b",
    )
    row, data = recorded(home, fieldbook.File(b"123", name="x.bin", mime="application/x-mine"))
    assert (row["file"]["name"], row["file"]["mime"]) == ("x.bin", "application/x-mine")
    row, data = recorded(home, fieldbook.Html(io.StringIO("<i>ü</i>")))
    assert data.decode() == "<i>ü</i>"
    row, _ = recorded(home, fieldbook.Text("hello", caption="greeting"))
    assert (row["text"], row["meta"]) == ("hello", {"caption": "greeting"})


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: fieldbook.Image(numpy.zeros(3)), TypeError, "image must have the shape"),
        (lambda: fieldbook.Image(numpy.zeros((2, 2, 9))), TypeError, "image must have the shape"),
        (lambda: fieldbook.Image(numpy.zeros((0, 2))), TypeError, "image must have the shape"),
        (lambda: fieldbook.Image(numpy.zeros((1, 40_000))), ValueError, "a side"),
        (lambda: fieldbook.Image(3), TypeError, "image must be"),
        (lambda: fieldbook.Image([[1]]), TypeError, "image must be one picture"),
        (lambda: fieldbook.Image("/no/such/file.png"), ValueError, "image: there is no file"),
        (lambda: fieldbook.Image(b"", caption=3), TypeError, "caption"),
        (lambda: fieldbook.Image(b"", meta=[1]), TypeError, "meta"),
        (lambda: fieldbook.Image(b"", meta={"x": "y" * 4096, "z": ["y" * 4000] * 4}), ValueError, "meta"),
        (lambda: fieldbook.Figure(3), TypeError, "figure must be"),
        (lambda: fieldbook.Html(3), TypeError, "html must be"),
        (lambda: fieldbook.Text(3), TypeError, "text must be"),
        (lambda: fieldbook.File(3), TypeError, "file must be"),
        (lambda: fieldbook.File("/"), ValueError, "folder"),
        (lambda: fieldbook.File(b"", name="a/b"), ValueError, "name"),
        (fieldbook.Histogram, TypeError, "either data, or counts and edges"),
        (lambda: fieldbook.Histogram([1], counts=[1], edges=[0, 1]), TypeError, "either data"),
        (lambda: fieldbook.Histogram("abc"), TypeError, "data must be"),
        (lambda: fieldbook.Histogram([1], bins=0), ValueError, "bins"),
        (lambda: fieldbook.Histogram([1], bins=2.0), TypeError, "bins"),
        (lambda: fieldbook.Histogram(counts=[1], edges=[0]), ValueError, "edges must have one more"),
        (lambda: fieldbook.Histogram(counts=[1, 2], edges=[0, 2, 1]), ValueError, "rising"),
        (lambda: fieldbook.Histogram(counts=[-1], edges=[0, 1]), ValueError, "counts"),
        (lambda: fieldbook.Histogram(counts=["a"], edges=[0, 1]), TypeError, "counts"),
        (lambda: fieldbook.Table(3), TypeError, "rows must be"),
        (fieldbook.Table, TypeError, "a table needs"),
        (lambda: fieldbook.Table([[1, 2], [3]]), ValueError, r"rows\[1\] has 1 cells"),
        (lambda: fieldbook.Table(["ab"]), TypeError, r"rows\[0\]"),
        (lambda: fieldbook.Table({"a": [1], "b": [1, 2]}), ValueError, "differ in length"),
        (lambda: fieldbook.Table([[1]], columns="a"), TypeError, "columns"),
        (lambda: fieldbook.Table(columns=["a"]).add_row(1, 2), ValueError, "cells"),
        (lambda: fieldbook.Audio(numpy.zeros(3)), TypeError, "rate is missing"),
        (lambda: fieldbook.Audio(numpy.zeros((2, 3, 4)), 8000), TypeError, "audio must have the shape"),
        (lambda: fieldbook.Audio(["a"], 8000).content(), TypeError, "audio must be"),
        (lambda: fieldbook.Audio(3, 8000), TypeError, "audio must be"),
        (lambda: fieldbook.Audio([0], 0), ValueError, "rate"),
        (lambda: fieldbook.Video(numpy.zeros((2, 2))), TypeError, "video must have the shape"),
        (lambda: fieldbook.Video(numpy.zeros((2, 2, 2)), fps="x"), TypeError, "fps"),
        (lambda: fieldbook.Video(numpy.zeros((2, 2, 2)), fps=0), ValueError, "fps"),
        (lambda: fieldbook.Video(3), TypeError, "video must be"),
    ],
)
def test_mistakes_name_the_argument(make: Any, error: type[Exception], says: str) -> None:
    """[CLT-8]"""
    with pytest.raises(error, match=says):
        make()


def test_nothing_is_imported_that_the_training_has_not_imported(home: Home) -> None:
    """[CLT-12]"""
    script = """
import sys, fieldbook
with fieldbook.init("p", capture=False) as run:
    run.log({"loss": 1.0, "text": "a", "page": fieldbook.Html("x"), "sound": fieldbook.Audio([0.5, 0.1], rate=8000)})
    run["spread"].append(fieldbook.Histogram([1, 2, 3]))
    run["rows"].append(fieldbook.Table([[1, 2]]))
    run["model"].upload({"a": 1})
print([name for name in ("numpy", "torch", "matplotlib", "PIL", "pandas", "plotly", "altair") if name in sys.modules])
"""
    code, out, err = run_script(script, home)
    assert code == 0, err
    assert out.strip() == "[]"
    assert len(home.only().of(journal.OBJECT)) == 5


def test_torch_tensors(home: Home) -> None:
    torch = pytest.importorskip("torch")
    pixels = DICE.integers(0, 256, (3, 4, 5), dtype=numpy.uint8)
    for tensor in (torch.from_numpy(pixels), torch.from_numpy(pixels).float() / 255):
        row, data = recorded(home, tensor.requires_grad_() if tensor.is_floating_point() else tensor)
        assert row["meta"] == {"width": 5, "height": 4}
        assert numpy.array_equal(numpy.asarray(opened(data)), pixels.transpose(1, 2, 0))
    row, _ = recorded(home, fieldbook.Histogram(torch.tensor([0.0, 1.0, 1.0, 4.0], dtype=torch.bfloat16), bins=4))
    assert row["data"]["counts"] == [1, 2, 0, 1]
    with fieldbook.init("p", capture=False) as run:
        run.log({"loss": torch.tensor(0.5), "one": torch.tensor([[2.0]])})
        run["t"] = {"dtype": torch.float32, "device": torch.device("cpu"), "size": torch.zeros(2, 3).shape}
        run["t/value"] = torch.tensor(3)
        with pytest.raises(TypeError, match="'x' must be one number"):
            run.log({"x": torch.zeros(4)})
    found = next(found for found in home.journals() if found.records[0].data["run"] == run.id)
    assert [value for _, _, value, _, _ in found.points()] == [0.5, 2.0]
    assert found.attributes() == {
        "t/dtype": "torch.float32",
        "t/device": "cpu",
        "t/size": "[2, 3]",
        "t/value": 3,
    }
