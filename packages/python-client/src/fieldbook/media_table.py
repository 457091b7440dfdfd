"""Tables from lists, dicts and the data frames of pandas and polars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .media import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_frame(value: Any) -> bool:
    """A data frame of pandas, polars or their like."""
    return type(value).__name__ == "DataFrame" and hasattr(value, "columns") and hasattr(value, "shape")


def table_of(data: Any, columns: Any) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of JSON cells. Raises ``TypeError``/``ValueError`` naming what does not fit."""
    names, rows = _raw(data, columns)
    width = len(names)
    for index, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"rows[{index}] has {len(row)} cells for {width} columns")
    return names, [[cell(value) for value in row] for row in rows]


def _raw(data: Any, columns: Any) -> tuple[list[str], list[list[Any]]]:
    if is_frame(data):
        return _of_frame(data, columns)
    wanted = None if columns is None else _names(columns)
    if data is None:
        if wanted is None:
            raise TypeError("a table needs data, or columns and rows")
        return wanted, []
    if isinstance(data, Mapping):
        return _of_mapping(data, wanted)
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise TypeError(f"rows must be a list of rows, a mapping of columns or a data frame, not {type(data).__name__}")
    listed = list(data.tolist() if hasattr(data, "tolist") else data)
    if listed and all(isinstance(row, Mapping) for row in listed):
        keys = wanted or list(dict.fromkeys(str(key) for row in listed for key in row))
        return keys, [[row.get(key) for key in keys] for row in listed]
    rows = []
    for index, row in enumerate(listed):
        if isinstance(row, (str, bytes, Mapping)) or not isinstance(row, Iterable):
            raise TypeError(f"rows[{index}] must be a list of cells, not {type(row).__name__}")
        rows.append(list(row))
    return wanted or [str(index) for index in range(len(rows[0]) if rows else 0)], rows


def _names(columns: Any) -> list[str]:
    if isinstance(columns, (str, bytes)) or not isinstance(columns, Iterable):
        raise TypeError(f"columns must be a list of names, not {type(columns).__name__}")
    return [str(name) for name in columns]


def _of_mapping(data: Mapping[Any, Any], wanted: list[str] | None) -> tuple[list[str], list[list[Any]]]:
    by_name = {str(key): value for key, value in data.items()}
    names = wanted or list(by_name)
    found = []
    for name in names:
        if name not in by_name:
            raise ValueError(f"columns names {name!r}, which the data does not have")
        column = by_name[name]
        if isinstance(column, (str, bytes)) or not isinstance(column, Iterable):
            raise TypeError(f"the column {name!r} must be a list, not {type(column).__name__}")
        found.append(list(column))
    if len({len(column) for column in found}) > 1:
        raise ValueError(f"the columns differ in length: {[len(column) for column in found]}")
    return names, [list(row) for row in zip(*found)]


def _of_frame(frame: Any, columns: Any) -> tuple[list[str], list[list[Any]]]:
    if columns is not None:
        frame = frame[list(columns)]
    names = [str(name) for name in frame.columns]
    if hasattr(frame, "iter_rows"):  # polars
        return names, [list(row) for row in frame.iter_rows()]
    rows = [list(row) for row in frame.itertuples(index=False, name=None)]
    index = getattr(frame, "index", None)
    if index is not None and type(index).__name__ != "RangeIndex":
        names.insert(0, str(index.name) if index.name is not None else "index")
        rows = [[key, *row] for key, row in zip(index, rows)]
    return names, rows
