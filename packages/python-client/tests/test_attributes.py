"""run[path] = value, del run[path], config=."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import enum
import math
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from fieldbook import journal
from support import Home


@dataclasses.dataclass
class Model:
    depth: int = 3
    width: int = 64


class Kind(enum.Enum):
    ADAM = 1


def test_values_come_back(home: Home) -> None:
    with fieldbook.init("p", config={"lr": 1e-3, "model": Model()}) as run:
        run["data/train"] = "train.parquet"
        run["params"] = {"optimizer": {"name": "adam", "betas": [0.9, 0.99]}, "layers": ["a", "b"], "empty": {}}
        run["flags"]["amp"] = True
        assert run["data/train"].value == "train.parquet"
        assert run["params"]["lr"].value == 1e-3
        with pytest.raises(KeyError):
            _ = run["nothing"].value
    assert home.only().attributes() == {
        "params/lr": 1e-3,
        "params/model/depth": 3,
        "params/model/width": 64,
        "data/train": "train.parquet",
        "params/optimizer/name": "adam",
        "params/optimizer/betas": "[0.9, 0.99]",
        "params/layers": ["a", "b"],
        "params/empty": "{}",
        "flags/amp": True,
    }


def test_values_that_json_cannot_say(home: Home) -> None:
    """[JRN-8]"""
    when = datetime.datetime(2026, 5, 3, tzinfo=datetime.timezone.utc)
    given: dict[str, Any] = {
        "nan": math.nan,
        "inf": -math.inf,
        "zero": -0.0,
        "big": 2**64,
        "none": None,
        "when": when,
        "path": Path("a/b"),
        "kind": Kind.ADAM,
        "function": math.sqrt,
        "surrogate": "\ud800",
    }
    with fieldbook.init("p") as run:
        run["x"] = given
    found = {path[2:]: value for path, value in home.only().attributes().items()}
    assert math.isnan(found["nan"])
    assert found["inf"] == -math.inf
    assert math.copysign(1, found["zero"]) == -1
    assert found["big"] == 2**64
    assert found["none"] is None
    assert found["when"] == {"t": when.timestamp() * 1000}
    assert found["path"] == "a/b"
    assert found["kind"] == "Kind.ADAM"
    assert found["function"] == "math.sqrt"
    assert found["surrogate"] == "?"


def test_deleting_removes_the_path_and_what_is_below(home: Home) -> None:
    with fieldbook.init("p", config={"a": {"b": 1, "c": 2}, "ab": 3}) as run:
        del run["params/a"]
        run["params/a/b"] = 4
    assert home.only().attributes() == {"params/ab": 3, "params/a/b": 4}


def test_namespaces_are_configs(home: Home) -> None:
    with fieldbook.init("p", config=argparse.Namespace(lr=0.1, sub=argparse.Namespace(x=1))):
        pass
    assert home.only().attributes() == {"params/lr": 0.1, "params/sub/x": 1}


def test_long_texts_are_cut_at_a_character_and_told(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    with fieldbook.init("p") as run:
        run["prompt"] = "é" * 5000
    assert home.only().attributes() == {"prompt": "é" * 2048}
    assert "'prompt'" in capfd.readouterr().err


def test_long_lists_are_cut_and_told(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    run = fieldbook.init("p")
    run["classes"] = [f"class {number}" for number in range(1001)]
    run.finish()
    assert home.only().attributes()["classes"] == [f"class {number}" for number in range(1000)]
    assert "1001 texts" in capfd.readouterr().err


def test_large_mappings_are_split_over_records(home: Home) -> None:
    config = {f"k{index}": "v" * 1000 for index in range(2000)}
    with fieldbook.init("p", config=config):
        pass
    found = home.only()
    assert len(found.attributes()) == 2000
    assert len(found.of(journal.ATTRS)) > 5


def test_mistakes(home: Home) -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with fieldbook.init("p") as run:
        for path, error in (("", ValueError), ("a//b", ValueError), (3, TypeError), ("x" * 600, ValueError)):
            with pytest.raises(error, match="path"):
                run[path] = 1  # type: ignore[index]
        with pytest.raises(ValueError, match=r"run\['x'\]"):
            run["x"] = {"a/": 1}
        with pytest.raises(ValueError, match="nested"):
            run["x"] = cycle
    for config in (3, "text", [1]):
        with pytest.raises(TypeError, match="config"):
            fieldbook.init("p", config=config)
    assert len(home.files()) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"project": ""}, ValueError, "project"),
        ({"project": 3}, TypeError, "project"),
        ({"project": "p", "run_id": "a/b"}, ValueError, "run_id"),
        ({"project": "p", "run_id": 7}, TypeError, "run_id"),
        ({"project": "p", "name": 7}, TypeError, "name"),
        ({"project": "p", "tags": "one"}, TypeError, "tags"),
        ({"project": "p", "tags": ["x", ""]}, ValueError, r"tags\[1\]"),
        ({"project": "p", "tags": 5}, TypeError, "tags"),
        ({"project": "p", "notes": "x" * 70_000}, ValueError, "notes"),
        ({"project": "p", "group": b"g"}, TypeError, "group"),
        ({"project": "p", "mode": "online"}, ValueError, "mode"),
    ],
)
def test_init_names_the_wrong_argument(
    home: Home, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        fieldbook.init(**arguments)
    assert not home.files()
