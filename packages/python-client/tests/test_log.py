"""run.log and run[path].append."""

from __future__ import annotations

import math
import os
import subprocess
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import fieldbook
from fieldbook import journal
from support import Home, points


def test_points_come_back_as_logged(home: Home) -> None:
    with fieldbook.init("p") as run:
        run.log({"train/loss": 0.5, "acc": 1}, step=10)
        run["train/loss"].append(0.25, step=11)
    assert points(home.only()) == [("train/loss", 10, 0.5), ("acc", 10, 1), ("train/loss", 11, 0.25)]


def test_special_values_and_steps_survive(home: Home) -> None:
    """[JRN-8]"""
    logged = [(0, math.nan), (0, math.inf), (2.5, -math.inf), (-1, -0.0), (2**53, 5e-324), (0, 1.0)]
    with fieldbook.init("p") as run:
        for step, value in logged:
            run.log({"x": value}, step=step)
    found = points(home.only())
    assert [step for _, step, _ in found] == [step for step, _ in logged]
    assert [math.copysign(1, value) for _, _, value in found] == [math.copysign(1, value) for _, value in logged]
    assert repr([value for _, _, value in found]) == repr([float(value) for _, value in logged])


def test_without_a_step_each_metric_goes_on_from_its_own_last(home: Home) -> None:
    with fieldbook.init("p") as run:
        run.log({"a": 1})
        run.log({"a": 2, "b": 2})
        run.log({"a": 3}, step=10)
        run.log({"a": 4, "b": 4})
    assert [(path, step) for path, step, _ in points(home.only())] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("a", 10),
        ("a", 11),
        ("b", 1),
    ]


def test_times_are_ms_since_the_epoch_and_go_forward(home: Home) -> None:
    with fieldbook.init("p") as run:
        for _ in range(10):
            run.log({"a": 1})
    times = [time for _, _, _, time, _ in home.only().points()]
    assert times == sorted(times)
    assert 1.7e12 < times[0] < 5e12


def test_nested_mappings_become_paths(home: Home) -> None:
    with fieldbook.init("p") as run:
        run.log({"val": {"loss": 1.0, "per": {"a": 2.0}}, "x": 3.0}, step=0)
    assert [path for path, _, _ in points(home.only())] == ["val/loss", "val/per/a", "x"]


def test_many_keys_are_split_and_kept(home: Home) -> None:
    with fieldbook.init("p") as run:
        run.log({f"m/{index}": index for index in range(120_000)}, step=0)
        run.log({}, step=1)
    assert [value for _, _, value in points(home.only())] == list(range(120_000))


class Zero:
    """What numpy and torch scalars have in common."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        if isinstance(self._value, list):
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._value


class Device(Zero):
    """A tensor on an accelerator: item() waits for the device, which is counted."""

    is_cuda = True
    waits = 0

    def numel(self) -> int:
        return len(self._value) if isinstance(self._value, list) else 1

    def detach(self) -> Device:
        return self

    def clone(self) -> Device:
        return Device(self._value)

    def set(self, value: float) -> None:
        self._value = value

    def item(self) -> Any:
        Device.waits += 1
        return super().item()


def test_numbers_of_other_kinds(home: Home) -> None:
    given = [True, Zero(2.5), Decimal("1.5"), Fraction(1, 4), 10**400, -(10**400)]
    with fieldbook.init("p") as run:
        for value in given:
            run.log({"x": value})
            run.log({"x": value})  # the second call takes the fast path
    assert [value for _, _, value in points(home.only())][::2] == [1, 2.5, 1.5, 0.25, math.inf, -math.inf]
    assert [value for _, _, value in points(home.only())][1::2] == [1, 2.5, 1.5, 0.25, math.inf, -math.inf]


def test_numpy_scalars(home: Home) -> None:
    numpy = pytest.importorskip("numpy")
    with fieldbook.init("p") as run:
        for value in (numpy.float32(0.5), numpy.float64(0.25), numpy.int64(3), numpy.array(4.0), numpy.array([5.0])):
            run.log({"x": value}, step=numpy.int64(1))
        with pytest.raises(TypeError, match=r"'x'.*shape \(3,\)"):
            run.log({"x": numpy.zeros(3)})
    assert [value for _, _, value in points(home.only())] == [0.5, 0.25, 3, 4, 5]


def test_a_value_on_a_device_is_not_waited_for_and_not_changed_by_later_writes(home: Home) -> None:
    loss = Device(1.0)
    Device.waits = 0
    with fieldbook.init("p") as run:
        run.log({"loss": loss, "lr": 0.1}, step=0)
        assert Device.waits == 0
        loss.set(2.0)  # the training goes on in place
        run.log({"loss": loss}, step=1)
        assert Device.waits == 1
        with pytest.raises(TypeError, match="'loss'"):
            run.log({"loss": Device([1, 2])})
        run["done"] = True
    assert points(home.only()) == [("loss", 0, 1.0), ("lr", 0, 0.1), ("loss", 1, 2.0)]


@pytest.mark.parametrize(
    ("values", "step", "error", "says"),
    [
        ({"loss": b"0.3"}, None, TypeError, "'loss'"),
        ({"loss": None}, None, TypeError, "'loss'"),
        ({"loss": [1.0]}, None, TypeError, "'loss'"),
        ({"loss": 1j}, None, TypeError, "'loss'"),
        ({"loss": 1.0}, "ten", TypeError, "step"),
        ({"loss": 1.0}, math.nan, ValueError, "step"),
        ({"loss": 1.0}, 10**400, ValueError, "step"),
        ({"": 1.0}, None, ValueError, "empty"),
        ({"/a": 1.0}, None, ValueError, "empty part"),
        ({"a\nb": 1.0}, None, ValueError, "control"),
        ({"x" * 513: 1.0}, None, ValueError, "512"),
        ({3: 1.0}, None, TypeError, "name"),
        ([("a", 1)], None, TypeError, "values"),
        (None, None, TypeError, "values"),
    ],
)
def test_mistakes_raise_at_once_and_leave_the_run_usable(
    home: Home, values: Any, step: Any, error: type[Exception], says: str
) -> None:
    with fieldbook.init("p") as run:
        for _ in range(2):
            with pytest.raises(error, match=says):
                run.log(values, step=step)
        run.log({"loss": 1.0})
        run.log({"loss": 2.0})
    assert points(home.only()) == [("loss", 0, 1.0), ("loss", 1, 2.0)]


def test_a_finished_run_says_so_once_and_records_nothing(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    run = fieldbook.init("p")
    run.finish()
    before = home.files()[0].read_bytes()
    run.log({"a": 1})
    run.log({"a": 1})
    run["b"] = 1
    run.tags.add("c")
    assert home.files()[0].read_bytes() == before
    assert capfd.readouterr().err.count("is finished") == 1


def test_disabled_records_nothing_but_still_checks(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in (fieldbook.init("p", mode="disabled"), _disabled_by_environment(monkeypatch)):
        with run:
            run.log({"a": 1}, step=3)
            run["x"] = {"y": 1}
            run.tags.add("t")
            with pytest.raises(TypeError, match="'a'"):
                run.log({"a": None})
    assert not home.path.exists()


def _disabled_by_environment(monkeypatch: pytest.MonkeyPatch) -> fieldbook.Run:
    monkeypatch.setenv("FIELDBOOK_MODE", "disabled")
    return fieldbook.init("p")


def test_an_interrupt_at_any_point_of_a_call_leaves_a_readable_journal(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C right before and right after the write: the next call finds out what happened."""
    from fieldbook import writer

    real = os.write

    def interrupted_before(fd: int, data: bytes) -> int:
        raise KeyboardInterrupt

    def interrupted_after(fd: int, data: bytes) -> int:
        real(fd, data)
        raise KeyboardInterrupt

    def interrupted_within(fd: int, data: bytes) -> int:
        real(fd, data[:20])
        raise KeyboardInterrupt

    run = fieldbook.init("p")
    run.log({"a": 0}, step=0)
    for index, fault in enumerate((interrupted_before, interrupted_after, interrupted_within)):
        for value in ({"a": 1.0}, {f"new/{index}": 1.0}):  # fast path, and with a declaration before it
            monkeypatch.setattr(writer, "write", fault)
            with pytest.raises(KeyboardInterrupt):
                run.log(value, step=1)
            monkeypatch.setattr(writer, "write", real)
            run.log({"a": 2}, step=2)
    run.finish()
    found = home.only()
    assert found.state == "clean"
    assert [r.sequence for r in found.records] == list(range(len(found.records)))
    assert [value for path, _, value in points(found) if path == "a"] == [0, 2, 2, 1, 2, 2, 2, 2]
    assert [path for path, _, _ in points(found) if path != "a"] == ["new/1"]
    assert found.records[-1].kind == journal.CLOSE


def test_the_import_is_light() -> None:
    import sys

    from support import SOURCE

    script = "import sys; before = set(sys.modules); import fieldbook; print(*(set(sys.modules) - before))"
    out = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {
        "traceback",
        "typing",
        "numpy",
        "torch",
        "asyncio",
        "subprocess",
        "multiprocessing",
        "socket",
        "logging",
        "hashlib",
        "typing_extensions",
        # together half of what the import would cost; `init` and the first list or text need them
        "json",
        "re",
        "enum",
        "signal",
        "threading",
        "unicodedata",
    }
    assert not heavy & set(out), sorted(heavy & set(out))
    # Each costs about 0.1 ms: this is what keeps the import under 15 ms.
    assert len(out) < 45, sorted(out)
