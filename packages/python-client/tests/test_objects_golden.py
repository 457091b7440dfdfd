"""The golden object segment, read with pyarrow as users will read theirs."""

import json
from pathlib import Path
from typing import Any

import pytest

parquet = pytest.importorskip("pyarrow.parquet")

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "objects"


def test_golden_objects() -> None:
    """[OBJ-1] Rows are sorted by path, step, ordinal and part, and every column is what was taken in."""
    rows: list[dict[str, Any]] = parquet.read_table(GOLDEN / "v1.parquet").to_pylist()
    expected = json.loads((GOLDEN / "v1.json").read_text(encoding="utf-8"))
    assert rows == expected
