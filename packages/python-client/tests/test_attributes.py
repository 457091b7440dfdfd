"""run[path] = value, del run[path], config=."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy
import pydantic
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


@attrs.define
class Optimizer:
    name: str = "adam"
    lr: float = 0.1


class Scheduler(pydantic.BaseModel):
    warmup: int = 10


Pair = collections.namedtuple("Pair", "left right")


class Like:
    """Behaves like a mapping without being one, as ml_collections' ConfigDict does."""

    def keys(self) -> list[str]:
        return ["x"]

    def __getitem__(self, key: str) -> int:
        return {"x": 7}[key]


def test_objects_with_named_members_are_what_lies_below(home: Home) -> None:
    """[CLT-3]"""
    with fieldbook.init("p") as run:
        run["a"] = Optimizer()
        run["b"] = Scheduler()
        run["c"] = Pair(1, "two")
        run["d"] = SimpleNamespace(inner=argparse.Namespace(x=1))
        run["e"] = Like()
        run["layers"] = [{"size": 3}, Model(), 4]
        run["nothing"] = []
    assert home.only().attributes() == {
        "a/name": "adam",
        "a/lr": 0.1,
        "b/warmup": 10,
        "c/left": 1,
        "c/right": "two",
        "d/inner/x": 1,
        "e/x": 7,
        "layers/0/size": 3,
        "layers/1/depth": 3,
        "layers/1/width": 64,
        "layers/2": 4,
        "nothing": [],
    }


NOON = datetime.datetime(2026, 5, 3, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (NOON, {"t": NOON.timestamp() * 1000}),
        (datetime.date(2026, 5, 3), "2026-05-03"),
        (datetime.time(8, 30), "08:30:00"),
        (datetime.timedelta(minutes=1, milliseconds=500), 60.5),
        (numpy.datetime64("2026-05-03T10:00:00.250"), {"t": 1777802400250.0}),
        (numpy.datetime64("NaT"), None),
        (numpy.timedelta64(1500, "ms"), 1.5),
        (numpy.timedelta64(1_500_000_000, "ns"), 1.5),
        (numpy.datetime64("2026-05-03T10:00:00.250", "ns"), {"t": 1777802400250.0}),
        (decimal.Decimal("0.1"), 0.1),
        (decimal.Decimal("0.1000000000000000000001"), "0.1000000000000000000001"),
        (decimal.Decimal("NaN"), math.nan),
        (decimal.Decimal("sNaN"), "sNaN"),
        (fractions.Fraction(1, 3), "1/3"),
        (1 + 2j, "(1+2j)"),
        (b"utf-8", "utf-8"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Kind.ADAM, "Kind.ADAM"),
        (numpy.float32(0.5), 0.5),
        (numpy.int64(2**60), 2**60),
        (numpy.bool_(True), True),
        (numpy.array(3), 3),
        (numpy.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (numpy.dtype("float32"), "float32"),
        (range(3), "[0, 1, 2]"),
        ((1, 2.5, None), "[1, 2.5, null]"),
        ([numpy.float64(0.5), Path("a/b"), Kind.ADAM], '[0.5, "a/b", "Kind.ADAM"]'),
        ([[1, 2], ["a"]], '[[1, 2], ["a"]]'),
        ({"b", "a"}, ["a", "b"]),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (math.sqrt, "math.sqrt"),
        (Model, "test_attributes.Model"),
    ],
    # The same in every process: the order of a set is not.
    ids=lambda value: repr(sorted(value) if isinstance(value, set) else value),
)
def test_what_says_all_of_a_value_is_not_flagged(home: Home, value: Any, kept: Any) -> None:
    """[CLT-3] [CLT-4]"""
    with fieldbook.init("p") as run:
        run["x"] = value
    found = home.only().attributes()
    assert set(found) == {"x"}
    if isinstance(kept, float) and math.isnan(kept):
        assert math.isnan(found["x"])
    else:
        assert found["x"] == kept
        assert type(found["x"]) is type(kept)


class Thing:
    pass


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_what_only_a_text_is_kept_of_is_flagged_with_its_type(home: Home) -> None:
    """[CLT-4]"""
    with fieldbook.init("p", config={"thing": Thing(), "lr": 0.1}) as run:
        run["big"] = numpy.zeros((40, 40), numpy.float32)
        run["raw"] = b"\xff\xfe"
        run["broken"] = Broken()
        run["fn"] = lambda: 0
        # Set again to what can be said, or removed: the flag goes.
        run["raw"] = 3
        del run["fn"]
    found = home.only().attributes()
    assert found["params/thing"] == "<test_attributes.Thing object>"
    assert found["big"] == "array of shape (40, 40), float32"
    assert found["broken"] == "<Broken>"
    assert found["sys/stringified"] == [
        "numpy.ndarray big",
        "test_attributes.Broken broken",
        "test_attributes.Thing params/thing",
    ]


class Nothing(pydantic.BaseModel):
    pass


@pytest.mark.filterwarnings("error")
def test_huge_lists_cost_no_more_than_what_is_kept_of_them(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    with fieldbook.init("p") as run:
        run["range"] = range(10**12)
        run["ones"] = [1] * 3_000_000
        run["none"] = {"inner": Nothing()}
    found = home.only().attributes()
    assert found["range"].startswith("[0, 1, 2, 3,")
    assert len(found["range"]) == len(found["ones"]) == 4096
    assert found["none/inner"] == "{}"
    assert "'range'" in capfd.readouterr().err


def test_assign_update_and_delete(home: Home) -> None:
    with fieldbook.init("p") as run:
        run["a"].assign(1)
        run["b"].update({"x": 1, "y": {"z": 2}})
        run.update({"c": 3, "d": {"e": 4}})
        run["b/x"].delete()
        del run["d"]["e"]
        run.update({})
        with pytest.raises(TypeError, match="values"):
            run.update([1])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="values"):
            run["a"].update(3)  # type: ignore[arg-type]
    assert home.only().attributes() == {"a": 1, "b/y/z": 2, "c": 3}


def test_an_object_of_this_package_is_kept_as_a_file(home: Home) -> None:
    with fieldbook.init("p") as run:
        run["page"] = fieldbook.Html("<p>hi</p>")
    (file,) = home.only().of(journal.FILE)
    assert (file["path"], file["mime"]) == ("page", "text/html; charset=utf-8")
    assert home.only().attributes() == {}
