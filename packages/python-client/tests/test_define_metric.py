"""run.define_metric."""

from __future__ import annotations

from typing import Any

import pytest

import fieldbook
from support import Home


def test_what_is_said_of_a_metric_are_attributes(home: Home) -> None:
    """[CLT-6]"""
    with fieldbook.init("p") as run:
        run.define_metric("val/acc", goal="max", unit="%", x="epoch")
        run.define_metric("train/*", goal="min")
        run.define_metric("plain")
    assert home.only().attributes() == {
        "metric/val/acc/goal": "max",
        "metric/val/acc/unit": "%",
        "metric/val/acc/x": "epoch",
        "metric/train/*/goal": "min",
    }


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"name": ""}, ValueError, "name"),
        ({"name": 3}, TypeError, "name"),
        ({"name": "a", "goal": "maximize"}, ValueError, "goal"),
        ({"name": "a", "unit": 3}, TypeError, "unit"),
        ({"name": "a", "unit": "x" * 65}, ValueError, "unit"),
        ({"name": "a", "x": "a//b"}, ValueError, "x cannot"),
    ],
)
def test_mistakes(home: Home, arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    for mode in ("journal", "disabled"):
        with fieldbook.init("p", mode=mode) as run, pytest.raises(error, match=says):
            run.define_metric(**arguments)
