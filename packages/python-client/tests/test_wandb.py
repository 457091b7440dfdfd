"""import fieldbook.wandb as wandb."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import plotly.graph_objects
import pytest
from PIL import Image as Pillow

from fieldbook import journal, wandb
from fieldbook.wandb import session
from support import Home, close, meta, points, run_script, start

#: A training as wandb's documentation and its users write it. Real wandb 0.31 leaves the same history and summary.
SCRIPT = """
import random, sys
import numpy as np
import {wandb} as wandb

config = {{"epochs": 3, "lr": 1e-3, "model": {{"depth": 2}}}}
wandb.login()
run = wandb.init(project="mnist demo", entity="team", name="baseline", tags=["a", "b"], notes="first", group="g",
                 job_type="train", config=config)
wandb.config.batch_size = 32
wandb.config["seed"] = 7
wandb.config.update({{"lr": 0.01}}, allow_val_change=True)
wandb.define_metric("epoch")
wandb.define_metric("val/*", step_metric="epoch")
wandb.define_metric("val/acc", step_metric="epoch", summary="max")
wandb.watch(None) if "fieldbook" in "{wandb}" else None
table = wandb.Table(columns=["id", "label"])
for epoch in range(wandb.config.epochs):
    loss = 1.0 / (epoch + 1)
    wandb.log({{"epoch": epoch, "loss": loss}}, commit=False)
    wandb.log({{"val/acc": [0.5, 0.9, 0.7][epoch]}})
    table.add_data(epoch, "cat")
run.log({{"late": 1}}, step=10)
run.log({{"late2": 2}}, step=10)
run.log({{"after": 3}})
run.log({{"more": 4}}, step=12, commit=True)
run.log({{"end": 5}})
wandb.log({{
    "image": wandb.Image(np.zeros((4, 4, 3), np.uint8), caption="black"),
    "hist": wandb.Histogram([1, 2, 3]),
    "page": wandb.Html("<b>x</b>"),
    "table": table,
}})
wandb.summary["best"] = 0.9
run.summary.update({{"note": "done"}})
print("STEP", run.step)
print("ACC", dict(run.summary["val/acc"]))
wandb.finish()
"""


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    yield
    wandb.finish()


def test_a_script_written_for_wandb(home: Home) -> None:
    """[CLT-18]"""
    code, out, err = run_script(SCRIPT.format(wandb="fieldbook.wandb"), home)
    assert code == 0, err
    found = home.only()
    assert meta(found)["project"] == "mnist demo"
    assert [meta(found)[key] for key in ("name", "group", "notes", "tags")] == ["baseline", "g", "first", ["a", "b"]]
    assert points(found) == [
        ("epoch", 0, 0),
        ("loss", 0, 1.0),
        ("val/acc", 0, 0.5),
        ("epoch", 1, 1),
        ("loss", 1, 0.5),
        ("val/acc", 1, 0.9),
        ("epoch", 2, 2),
        ("loss", 2, 1 / 3),
        ("val/acc", 2, 0.7),
        ("late", 10, 1),
        ("late2", 10, 2),
        ("after", 10, 3),
        ("more", 12, 4),
        ("end", 13, 5),
    ]
    assert [(row["path"], row["kind"], row["step"]) for row in found.of(journal.OBJECT)] == [
        ("image", "image", 14),
        ("hist", "histogram", 14),
        ("page", "html", 14),
        ("table", "table", 14),
    ]
    assert found.attributes() == {
        "wandb/entity": "team",
        "wandb/job_type": "train",
        "params/epochs": 3,
        "params/lr": 0.01,
        "params/model/depth": 2,
        "params/batch_size": 32,
        "params/seed": 7,
        "metric/val/*/x": "epoch",
        "metric/val/acc/x": "epoch",
        "metric/val/acc/goal": "max",
        "summary/best": 0.9,
        "summary/note": "done",
    }
    assert "STEP 15" in out
    assert "ACC {'max': 0.9}" in out
    assert err.count("wandb.watch does nothing here") == 1
    assert (close(found) or {})["status"] == "finished"


def test_steps_that_have_passed_are_kept_where_wandb_drops_them(home: Home) -> None:
    with wandb.init(project="p") as run:
        run.log({"a": 1}, step=5)
        run.log({"a": 2}, step=3)
        run.log({"a": 3})
        assert run.step == 6
    assert points(home.only()) == [("a", 5, 1), ("a", 3, 2), ("a", 5, 3)]


def test_values_of_every_kind(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[CLT-18]"""
    run = wandb.init(project="p")
    run.log(
        {
            "number": numpy.float32(0.5),
            "flag": True,
            "text": "hello",
            "nested": {"deep": {"x": 1}},
            "none": None,
            "gradients": numpy.arange(100.0),
            "list": [1, 2, 3],
            "images": [wandb.Image(numpy.zeros((2, 2))), wandb.Image(numpy.ones((2, 2)), caption="white")],
            "pil": Pillow.new("L", (2, 2)),
            "chart": wandb.Plotly(plotly.graph_objects.Figure()),
            "batch": wandb.Image(numpy.zeros((3, 4, 5, 3))),
            "thing": object(),
            "odd": numpy.zeros((2, 3, 4, 5, 6)),
            "sound": wandb.Audio(numpy.zeros(10), sample_rate=10),
            "film": wandb.Video(numpy.zeros((2, 3, 4, 4), numpy.uint8), fps=2),
            "/bad//name/": 1,
            "plot": wandb.plot.confusion_matrix(y_true=[1], preds=[1]),
            "cloud": wandb.Object3D([[0, 0, 0]]),
        }
    )
    run.finish()
    found = home.only()
    assert points(found) == [("number", 0, 0.5), ("flag", 0, 1), ("nested/deep/x", 0, 1), ("bad/name", 0, 1)]
    assert [(row["path"], row["kind"]) for row in found.of(journal.OBJECT)] == [
        ("text", "text"),
        ("gradients", "histogram"),
        ("list", "text"),
        ("images", "image"),
        ("images", "image"),
        ("pil", "image"),
        ("chart", "figure"),
        ("chart/html", "html"),
        ("batch", "image"),
        ("thing", "text"),
        ("odd", "histogram"),
        ("sound", "audio"),
        ("film", "video"),
        ("plot", "table"),
    ]
    assert {row["path"]: row.get("meta", {}).get("width") for row in found.of(journal.OBJECT)}["batch"] == 15
    said = capfd.readouterr().err
    for text in ("None", "Object3D does nothing", "object", "'bad/name'"):
        assert text in said


def test_what_cannot_be_recorded_costs_only_itself(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[CLT-18]"""
    run = wandb.init(project="p")
    run.log({"a": 1, "b": 1})
    run.log({"a": "text now", "b": 2})
    run.log({"a": "again", "b": 3})
    run.finish()
    assert points(home.only()) == [("a", 0, 1), ("b", 0, 1), ("b", 1, 2), ("b", 2, 3)]
    assert capfd.readouterr().err.count("'a' is not recorded") == 1


def test_mistakes_that_wandb_raises_for(home: Home) -> None:
    with pytest.raises(wandb.Error, match=r"wandb\.init"):
        wandb.log({"a": 1})
    with pytest.raises(wandb.Error, match=r"wandb\.config"):
        _ = wandb.config.lr
    with pytest.raises(wandb.Error, match=r"wandb\.summary"):
        wandb.summary["x"] = 1
    assert wandb.run is None
    run = wandb.init(project="p")
    assert wandb.run is run
    with pytest.raises(TypeError, match="dictionary"):
        run.log([1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="strings"):
        run.log({1: 2})  # type: ignore[dict-item]
    run.finish()
    assert wandb.run is None


def test_config_and_summary(home: Home, tmp_path: Path) -> None:
    """[CLT-18]"""
    path = tmp_path / "config.json"
    path.write_text('{"wandb_version": 1, "lr": {"value": 0.5, "desc": null}, "k": 1}')
    run = wandb.init(project="p", config=str(path), config_exclude_keys=["k"])
    assert run.config.lr == 0.5
    assert run.config.get("k", 9) == 9
    run.config.update(argparse.Namespace(depth=3))
    run.config.setdefaults({"lr": 1, "seed": 2})
    assert dict(run.config) == {"lr": 0.5, "depth": 3, "seed": 2}
    assert "depth" in run.config
    assert run.config["seed"] == wandb.config.seed == 2
    with pytest.raises(AttributeError):
        _ = run.config.nothing
    with pytest.raises(KeyError):
        _ = run.config["nothing"]
    run.define_metric("loss", summary="min,mean")
    for loss in (3.0, 1.0, 2.0):
        run.log({"loss": loss, "acc": loss})
    assert run.summary["loss"] == {"min": 1.0, "mean": 2.0}
    assert run.summary["acc"] == 2.0
    run.summary["acc"] = 9
    run.summary.best = 4
    assert (run.summary["acc"], run.summary.get("best")) == (9, 4)
    run.finish()
    found = home.only().attributes()
    assert found["summary/acc"] == 9
    assert found["metric/loss/goal"] == "min"
    assert found["params/seed"] == 2


def test_artifacts_models_and_saved_files(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLT-18]"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/sub").mkdir(parents=True)
    for name in ("data/a.csv", "data/sub/b.csv", "model.pt", "notes.txt"):
        (tmp_path / name).write_text(name)
    run = wandb.init(project="p")
    artifact = wandb.Artifact("set", type="dataset", description="d", metadata={"rows": 2})
    artifact.add_dir("data")
    artifact.add_file("model.pt", name="weights/model.pt")
    artifact.add_reference("s3://bucket/key")
    artifact.add(wandb.Table(columns=["a"], data=[[1]]), "table")
    with artifact.new_file("hello.txt") as file:
        file.write("hi")
    (tmp_path / "model.pt").write_text("rewritten before it is logged")
    logged = run.log_artifact(artifact, aliases=["best"]).wait()
    run.log_model("model.pt", name="net")
    run.save("*.txt")
    (tmp_path / "notes.txt").write_text("changed since")
    (Path(run.dir) / "own.log").write_text("log")
    folder = logged.download()
    assert (Path(folder) / "sub/b.csv").read_text() == "data/sub/b.csv"
    run.finish()
    found = home.only()
    spool = home.files()[0].parent / f"{found.writer}.files"
    files = [(row["path"], (spool / row["spool"]).read_text()) for row in found.of(journal.FILE)]
    assert files == [
        ("artifacts/set/a.csv", "data/a.csv"),
        ("artifacts/set/sub/b.csv", "data/sub/b.csv"),
        ("artifacts/set/weights/model.pt", "model.pt"),
        ("artifacts/set/table", '{"columns":["a"],"rows":[[1]]}'),
        ("artifacts/set/hello.txt", "hi"),
        ("artifacts/net/model.pt", "rewritten before it is logged"),
        ("files/notes.txt", "notes.txt"),
        ("files/notes.txt", "changed since"),
        ("files/own.log", "log"),
    ]
    first, *_, net, _, _, _ = found.of(journal.FILE)
    assert first["meta"] == {"artifact": "set", "type": "dataset", "aliases": ["best"]}
    assert (net["kind"], net["name"]) == ("model", "model.pt")
    attributes = found.attributes()
    assert attributes["artifacts/set/type"] == "dataset"
    assert attributes["artifacts/set/metadata/references"] == ["s3://bucket/key"]
    assert not os.path.exists(run.dir) or not os.listdir(run.dir)


def test_files_of_a_script_that_forgets_to_finish(home: Home, tmp_path: Path) -> None:
    """[CLT-18]"""
    script = f"""
import os, fieldbook.wandb as wandb
os.chdir({str(tmp_path)!r})
run = wandb.init(project="p")
open(os.path.join(run.dir, "own.log"), "w").write("log")
open("late.txt", "w").write("early")
wandb.save("late.txt", policy="end")
open("late.txt", "w").write("at the end")
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    found = home.only()
    spool = home.files()[0].parent / f"{found.writer}.files"
    files = {row["path"]: (spool / row["spool"]).read_text() for row in found.of(journal.FILE)}
    assert files == {"files/late.txt": "at the end", "files/own.log": "log"}
    assert (close(found) or {})["status"] == "finished"


def test_artifacts_of_other_runs_are_told(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    run = wandb.init(project="p")
    artifact = run.use_artifact("team/p/set:v3", type="dataset")
    with pytest.raises(wandb.Error, match=r"fieldbook\.run\(id\)"):
        artifact.download()
    run.finish()
    assert home.only().attributes() == {"artifacts/set/used": "team/p/set:v3"}
    assert "use_artifact does nothing here" in capfd.readouterr().err


def test_what_has_no_counterpart_is_told_once_and_does_nothing(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """[CLT-18]"""
    run = wandb.init(project="p", sync_tensorboard=True, settings=wandb.Settings(silent=True))
    for _ in range(3):
        run.watch(object(), log="all")
        wandb.agent(wandb.sweep({"method": "grid"}), function=lambda: 0)
        for found in wandb.Api().runs("team/p"):
            raise AssertionError(found)
        run.link_artifact("a", "b")
    run.alert("Diverged", "loss is nan", level=wandb.AlertLevel.WARN)
    run.mark_preempting()
    run.log({"a": 1})
    run.finish()
    said = capfd.readouterr().err
    for name in ("watch", "sweep", "agent", "Api", "Api.runs", "run.link_artifact", "init(sync_tensorboard=)"):
        assert said.count(f"wandb.{name} does nothing here") == 1, name
    found = home.only()
    assert points(found) == [("a", 0, 1)]
    assert found.of(journal.STATUS)[0]["status"] == "preempted"
    assert found.of(journal.OBJECT)[0]["text"] == "Diverged: loss is nan"


def test_environment_variables(home: Home) -> None:
    script = "import fieldbook.wandb as w; r = w.init(); w.log({'a': 1}); print(r.id, r.project, r.entity)"
    code, out, err = run_script(
        script, home, WANDB_PROJECT="q", WANDB_NAME="n", WANDB_RUN_ID="my id!", WANDB_TAGS="x,y", WANDB_ENTITY="e"
    )
    assert code == 0, err
    assert out.split() == ["my-id-", "q", "e"]
    assert [meta(home.only())[key] for key in ("project", "name", "run", "tags")] == ["q", "n", "my-id-", ["x", "y"]]
    for variables in ({"WANDB_MODE": "disabled"}, {"WANDB_DISABLED": "true"}):
        code, _, err = run_script(script, home, **variables)
        assert code == 0, err
    assert len(home.files()) == 1


def test_a_second_init_returns_the_open_run(home: Home) -> None:
    first = wandb.init(project="p", config={"a": 1})
    assert wandb.init(project="q", config={"b": 2}) is first
    assert dict(first.config) == {"a": 1, "b": 2}
    other = wandb.init(project="p", reinit="create_new")
    assert wandb.run is first
    other.finish()
    second = wandb.init(project="p", reinit=True)
    assert wandb.run is second
    assert first.fieldbook_run._finished
    second.finish(exit_code=3)
    statuses = sorted((close(one) or {})["status"] for one in home.journals())
    assert statuses == ["failed", "finished", "finished"]


def test_resume_goes_on_counting(home: Home) -> None:
    with wandb.init(project="p", id="r") as run:
        run.log({"a": 1})
        run.log({"a": 2})
    with wandb.init(project="p", id="r", resume="allow") as run:
        assert run.step == 2
        run.log({"a": 3})
    assert sorted(step for one in home.journals() for _, step, _ in points(one)) == [0, 1, 2]


def test_an_exception_fails_the_run(home: Home) -> None:
    def train() -> None:
        with wandb.init(project="p") as run:
            run.log({"a": 1})
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        train()
    assert (close(home.only()) or {})["status"] == "failed"
    assert wandb.run is None


def test_pyplot_as_a_module_is_its_current_figure(home: Home) -> None:
    script = """
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt, fieldbook.wandb as wandb
plt.plot([1, 2])
with wandb.init(project="p") as run:
    run.log({"chart": plt, "image": wandb.Image(plt)})
"""
    process = start(script, home)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [row["kind"] for row in home.only().of(journal.OBJECT)] == ["figure", "image"]


def test_wandb_itself_is_not_imported() -> None:
    assert "wandb" not in sys.modules
    assert session.Run is wandb.Run


def test_tables(home: Home, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>file</p>")
    table = wandb.Table(columns=["a"], data=[[1], [2]])
    table.add_column("b", ["x", "y"])
    table.add_data(3, wandb.Image(numpy.zeros((2, 2))))
    assert table.get_column("a") == [1, 2, 3]
    assert table.get_column("a", convert_to="numpy").tolist() == [1, 2, 3]
    assert table.data[2] == [3, "[image]"]
    with pytest.raises(ValueError, match="data"):
        table.add_column("c", [1])
    assert wandb.Html(str(page)).content().file == str(page)
    assert wandb.Html(str(page), data_is_not_path=True).content().file == str(page).encode()
    assert wandb.Html(io.StringIO("x")).content().file == b"x"
    counts: Any = numpy.histogram([1, 2, 3], bins=2)
    assert wandb.Histogram(np_histogram=counts).counts == [1, 2]
