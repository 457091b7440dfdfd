"""wandb.plot, wandb.util, wandb.errors and the like: what scripts reach through the package."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy
import pytest
from sklearn import metrics  # type: ignore[import-untyped]

from fieldbook import journal, wandb
from support import Home


def table_of(home: Home, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (row,) = [row for row in home.only().of(journal.OBJECT) if row["path"] == path]
    return row["data"], row["meta"]


def test_charts_are_kept_as_the_tables_they_are_drawn_of(home: Home) -> None:
    """[CLT-18]"""
    table = wandb.Table(columns=["x", "y"], data=[[1, 2], [3, 4]])
    with wandb.init(project="p") as run:
        run.log({"line": wandb.plot.line(table, "x", "y", title="a line")})
        run.log({"bar": wandb.plot.bar(table, "x", "y"), "hist": wandb.plot.histogram(table, "y")})
        run.log({"series": wandb.plot.line_series([0, 1], [[1, 2], numpy.array([3, 4])], keys=["a", "b"], xname="s")})
        run.log({"own": wandb.plot_table("team/spec", table, {"x": "x"})})
    assert table_of(home, "line") == (
        {"columns": ["x", "y"], "rows": [[1, 2], [3, 4]]},
        {"chart": "line", "x": "x", "y": "y", "title": "a line", "rows": 2},
    )
    assert table_of(home, "bar")[1] == {"chart": "bar", "label": "x", "value": "y", "rows": 2}
    assert table_of(home, "hist")[1] == {"chart": "histogram", "value": "y", "rows": 2}
    assert table_of(home, "series")[0]["rows"] == [[0, "a", 1], [1, "a", 2], [0, "b", 3], [1, "b", 4]]
    assert table_of(home, "own")[1]["spec"] == "team/spec"
    assert table.meta == {}, "the table itself is not a chart"
    with pytest.raises(ValueError, match="none of the table's columns"):
        wandb.plot.line(table, "x", "z")


def test_a_confusion_matrix_counts_as_scikit_learn_does(home: Home) -> None:
    generator = numpy.random.default_rng(3)
    truth, scores = generator.integers(0, 3, 200), generator.random((200, 3))
    with wandb.init(project="p") as run:
        run.log({"cm": wandb.plot.confusion_matrix(probs=scores, y_true=truth, class_names=["a", "b", "c"])})
    rows = table_of(home, "cm")[0]["rows"]
    assert [row[2] for row in rows] == metrics.confusion_matrix(truth, scores.argmax(1)).ravel().tolist()
    assert rows[1][:2] == ["a", "b"]
    for wrong in (
        {"y_true": truth},
        {"y_true": truth, "preds": truth[1:]},
        {"y_true": [2], "preds": [0], "class_names": ["a"]},
    ):
        with pytest.raises(ValueError, match=r"preds|predictions|class_names"):
            wandb.plot.confusion_matrix(**wrong)


def test_curves_are_those_of_scikit_learn(home: Home) -> None:
    generator = numpy.random.default_rng(5)
    truth = generator.integers(0, 3, 300)
    scores = (generator.random((300, 3)) + numpy.eye(3)[truth] * 0.4).round(2)  # with ties
    with wandb.init(project="p") as run:
        run.log({"roc": wandb.plot.roc_curve(truth, scores, labels=["a", "b", "c"])})
        run.log({"pr": wandb.plot.pr_curve(truth, scores, classes_to_plot=[1])})
    rows = table_of(home, "roc")[0]["rows"]
    for one, name in enumerate("abc"):
        fpr, tpr, _ = metrics.roc_curve(truth, scores[:, one], pos_label=one, drop_intermediate=False)
        assert numpy.allclose([row[1:] for row in rows if row[0] == name], numpy.stack([fpr, tpr], 1))
    data, _ = table_of(home, "pr")
    assert {row[0] for row in data["rows"]} == {1}
    precision, recall, _ = metrics.precision_recall_curve(truth == 1, scores[:, 1])
    for _, found, at in data["rows"]:
        reached = recall >= at - 1e-9
        assert found == pytest.approx(precision[reached][recall[reached] == recall[reached].min()].max())


def test_a_long_curve_keeps_its_ends(home: Home) -> None:
    scores = numpy.linspace(0, 1, 5000)
    found = wandb.plot.roc_curve(numpy.arange(5000) % 2, numpy.stack([1 - scores, scores], 1))
    ours = [row for row in found.rows if row[0] == 1]
    assert len(ours) == 1000
    assert (ours[0][1:], ours[-1][1:]) == ([0, 0], [1, 1])


def test_ids_are_texts_of_their_own() -> None:
    ids = {wandb.util.generate_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 8 and one.isalnum() and one == one.lower() for one in ids)
    assert json.dumps(wandb.util.generate_id(16))


def test_errors_can_be_caught() -> None:
    with pytest.raises(wandb.errors.Error):
        wandb.log({"a": 1})
    try:
        raise KeyError("of the script")
    except (wandb.errors.CommError, wandb.errors.UsageError):
        raise AssertionError("not one of wandb's") from None
    except KeyError:
        pass


@pytest.mark.parametrize("name", ["data_types", "errors", "plot", "util"])
def test_modules_are_imported_by_their_names(name: str) -> None:
    assert importlib.import_module(f"fieldbook.wandb.{name}") is getattr(wandb, name)


def test_types_for_annotations(home: Home) -> None:
    with wandb.init(project="p") as run:
        assert isinstance(run, wandb.sdk.wandb_run.Run)
        assert isinstance(run, wandb.wandb_run.Run)
    assert wandb.data_types.Table is wandb.Table
    assert list(wandb.Table(columns=["a"], data=[[1], [2]]).iterrows()) == [(0, [1]), (1, [2])]


def test_what_is_nothing_is_told_once_and_not_recorded(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    with wandb.init(project="p") as run:
        run.log({"cloud": wandb.Object3D(numpy.zeros((3, 3))), "loss": 1})
    said = capfd.readouterr().err
    assert [line for line in said.splitlines() if "Object3D" in line] == [
        "fieldbook: wandb.Object3D does nothing here."
    ]
    assert home.only().of(journal.OBJECT) == []
