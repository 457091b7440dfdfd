"""The golden segment, read with pyarrow as users will read theirs."""

import json
import math
from pathlib import Path
from typing import Any, Union

import pytest

parquet = pytest.importorskip("pyarrow.parquet")

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "segment"


def plain(value: float) -> Union[float, str]:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "-0" if value == 0 and math.copysign(1, value) < 0 else value


def test_golden_segment() -> None:
    """[SER-2] Rows are sorted by metric, step and ordinal, and every value is what was logged."""
    rows: list[dict[str, Any]] = parquet.read_table(GOLDEN / "v1.parquet").to_pylist()
    for row in rows:
        row["value"] = plain(row["value"])
        time = row["time"]
        row["time"] = time if isinstance(time, (int, float)) else int(time.timestamp() * 1000 + 0.5)
    expected = json.loads((GOLDEN / "v1.json").read_text(encoding="utf-8"))
    assert [{key: row[key] for key in expected[0]} for row in rows] == expected
