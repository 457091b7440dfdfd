"""``wandb.plot``: charts as the tables that they are drawn of, with what kind of chart it was in their ``meta``.

Columns are named as wandb names them, so that what reads its tables reads these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .missing import Nothing
from .values import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Points kept of each curve; a chart has no more pixels.
CURVE_POINTS = 1000


def _chart(table: Table, chart: str, title: str | None, **fields: Any) -> Table:
    """A copy of a table that says how it is drawn."""
    if not isinstance(table, Table):
        raise TypeError(f"table must be a wandb.Table, not {type(table).__name__}")
    for role, column in fields.items():
        if column is not None and column not in table.columns:
            raise ValueError(f"{role} is {column!r}, which is none of the table's columns: {', '.join(table.columns)}")
    found = Table(columns=table.columns, data=[list(row) for row in table.rows])
    said = {role: column for role, column in fields.items() if column is not None}
    found.meta.update({"chart": chart, **said, **({"title": str(title)} if title else {})})
    return found


def line(table: Table, x: str, y: str, stroke: str | None = None, title: str = "", **_: Any) -> Table:
    """A line through the rows."""
    return _chart(table, "line", title, x=x, y=y, stroke=stroke)


def scatter(table: Table, x: str, y: str, title: str = "", **_: Any) -> Table:
    """A point for each row."""
    return _chart(table, "scatter", title, x=x, y=y)


def bar(table: Table, label: str, value: str, title: str = "", **_: Any) -> Table:
    """A bar for each row."""
    return _chart(table, "bar", title, label=label, value=value)


def histogram(table: Table, value: str, title: str = "", **_: Any) -> Table:
    """How often each value occurs."""
    return _chart(table, "histogram", title, value=value)


def plot_table(
    vega_spec_name: str, data_table: Table, fields: Any, string_fields: Any = None, split_table: bool = False
) -> Table:
    """A table under a chart of one's own; its specification lives with wandb, its name is noted."""
    del string_fields, split_table
    found = _chart(data_table, "vega", None)
    found.meta["spec"] = str(vega_spec_name)[:200]
    found.meta["fields"] = {str(role): str(column) for role, column in dict(fields).items()}
    return found


def line_series(
    xs: Any, ys: Any, keys: Sequence[str] | None = None, title: str | None = None, xname: str = "x", **_: Any
) -> Table:
    """Several lines: ``xs`` for all of them or for each."""
    lines = [_listed(line) for line in ys]
    across = [_listed(one) if _is_listed(one) else one for one in _listed(xs)]
    each = across if across and _is_listed(across[0]) else [across] * len(lines)
    names = [str(key) for key in keys] if keys else [f"line_{index}" for index in range(len(lines))]
    if not len(each) == len(names) == len(lines):
        raise ValueError(f"ys holds {len(lines)} lines, but xs {len(each)} and keys {len(names)}")
    rows = [[x, name, y] for x_of, y_of, name in zip(each, lines, names) for x, y in zip(x_of, y_of)]
    table = Table(columns=["step", "lineKey", "lineVal"], data=rows)
    return _chart(table, "line", title or xname, x="step", y="lineVal", stroke="lineKey")


def confusion_matrix(
    probs: Any = None,
    y_true: Any = None,
    preds: Any = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    **_: Any,
) -> Table:
    """How often each class was taken for which; ``probs`` or ``preds``, and ``y_true`` as numbers of classes."""
    if (probs is None) == (preds is None):
        raise ValueError("confusion_matrix needs either probs or preds")
    truth = [int(one) for one in _listed(y_true)]
    if preds is None:
        scores = [_listed(row) for row in _listed(probs)]
        guesses = [row.index(max(row)) for row in scores]
    else:
        guesses = [int(one) for one in _listed(preds)]
    if len(truth) != len(guesses):
        raise ValueError(f"y_true has {len(truth)} values, the predictions {len(guesses)}")
    known = range(max([*truth, *guesses], default=-1) + 1)
    names = [str(name) for name in class_names] if class_names is not None else [f"Class_{one}" for one in known]
    if len(names) < len(known):
        raise ValueError(f"class_names has {len(names)} names, but there is a class {len(known) - 1}")
    counts: dict[tuple[int, int], int] = {}
    for pair in zip(truth, guesses):
        counts[pair] = counts.get(pair, 0) + 1
    rows = [[a, b, counts.get((i, j), 0)] for i, a in enumerate(names) for j, b in enumerate(names)]
    table = Table(columns=["Actual", "Predicted", "nPredictions"], data=rows)
    return _chart(table, "confusion", title, x="Predicted", y="Actual", value="nPredictions")


def roc_curve(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str | None = None,
    **_: Any,
) -> Table:
    """True against false positives of each class against the others."""
    rows: list[list[Any]] = []
    for name, hits, others in _counted(y_true, y_probas, labels, classes_to_plot):
        if hits[-1] and others[-1]:
            points = [[name, 0.0, 0.0]]
            points += [[name, false / others[-1], true / hits[-1]] for true, false in zip(hits, others)]
            rows += _thinned(points)
    table = Table(columns=["class", "fpr", "tpr"], data=rows)
    return _chart(table, "line", title or "ROC Curve", x="fpr", y="tpr", stroke="class")


def pr_curve(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = 21,
    title: str | None = None,
    **_: Any,
) -> Table:
    """Precision at ``interp_size`` recalls of each class against the others."""
    rows: list[list[Any]] = []
    for name, hits, others in _counted(y_true, y_probas, labels, classes_to_plot):
        if not hits[-1]:
            continue
        for index in range(interp_size):
            recall = index / max(1, interp_size - 1)
            place = next(at for at, true in enumerate(hits) if true >= recall * hits[-1] - 1e-9)
            rows.append([name, hits[place] / (hits[place] + others[place]), recall])
    table = Table(columns=["class", "precision", "recall"], data=rows)
    return _chart(table, "line", title or "Precision-Recall Curve", x="recall", y="precision", stroke="class")


def _counted(
    y_true: Any, y_probas: Any, labels: Sequence[str] | None, wanted: Sequence[Any] | None
) -> Iterable[tuple[Any, list[int], list[int]]]:
    """Of each class: true and false positives at each threshold that tells scores apart, from the highest down."""
    if y_true is None or y_probas is None:
        raise ValueError("y_true and y_probas are needed")
    truth = _listed(y_true)
    scores = [_listed(row) for row in _listed(y_probas)]
    if len(truth) != len(scores) or not truth:
        raise ValueError(f"y_true has {len(truth)} values, y_probas {len(scores)} rows")
    classes = sorted(set(truth))
    if len(scores[0]) < len(classes):
        raise ValueError(f"y_probas has {len(scores[0])} columns for {len(classes)} classes")
    for column, one in enumerate(classes):
        if wanted is not None and one not in _listed(wanted):
            continue
        name = labels[one] if labels is not None and isinstance(one, int) and one < len(labels) else one
        ranked = sorted(zip((row[column] for row in scores), truth), key=lambda pair: -pair[0])
        hits: list[int] = []
        others: list[int] = []
        true = false = 0
        for index, (score, real) in enumerate(ranked):
            true, false = (true + 1, false) if real == one else (true, false + 1)
            if index + 1 == len(ranked) or ranked[index + 1][0] != score:
                hits.append(true)
                others.append(false)
        yield name, hits, others


def _thinned(points: list[list[Any]]) -> list[list[Any]]:
    """At most :data:`CURVE_POINTS`, the first and the last among them."""
    last = len(points) - 1
    if last < CURVE_POINTS:
        return points
    return [points[round(index * last / (CURVE_POINTS - 1))] for index in range(CURVE_POINTS)]


def _is_listed(given: Any) -> bool:
    return not isinstance(given, str) and hasattr(given, "__iter__")


def _listed(given: Any) -> list[Any]:
    found = getattr(given, "tolist", None)
    if callable(found):
        given = found()
    if not _is_listed(given):
        raise TypeError(f"a list of values is needed, not {type(given).__name__}")
    return list(given)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Nothing(f"plot.{name}")
