"""Arrays and tensors of whatever library, as numpy arrays; nothing is imported that the training has not imported.

``numpy`` here is the module that made the array: whoever hands in an array has it.
"""

from __future__ import annotations

import math
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_tensor(value: Any) -> bool:
    """A torch tensor, whose pictures are channels first."""
    return hasattr(value, "detach") and hasattr(value, "cpu") and hasattr(value, "numel")


def is_array(value: Any) -> bool:
    """An array of numbers: numpy's, a tensor, or what turns into one (JAX, TensorFlow)."""
    shape = getattr(value, "shape", None)
    if shape is None or not hasattr(value, "dtype"):
        return False
    return is_tensor(value) or hasattr(value, "__array__")


def to_numpy(value: Any, argument: str) -> Any:
    """The array in main memory. Raises ``TypeError`` for what is none."""
    if is_tensor(value):
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype) or "float8" in str(value.dtype):  # numpy has neither
            value = value.float()
        return value.numpy()
    import numpy

    array = numpy.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{argument} must be an array of numbers, not of {array.dtype}")
    return array


def histogram_of(data: Any, bins: int) -> tuple[list[float], list[float], int]:
    """Edges, counts and how many values were not finite. Raises ``TypeError`` for what are no numbers."""
    if is_array(data):
        return _histogram_of_array(to_numpy(data, "data"), bins)
    if isinstance(data, (str, bytes)) or not hasattr(data, "__iter__"):
        raise TypeError(f"data must be numbers, an array or a tensor, not {type(data).__name__}")
    try:
        numbers = [float(number) for number in data]
    except (TypeError, ValueError):
        if "numpy" in sys.modules:
            return _histogram_of_array(to_numpy(data, "data"), bins)
        raise TypeError("data must be a flat list of numbers") from None
    finite = [number for number in numbers if math.isfinite(number)]
    low, high = _range(min(finite, default=0.0), max(finite, default=1.0))
    counts = [0] * bins
    # Halves, because the whole range of diverged values may be more than a float holds.
    start, scale = low / 2, bins / (high / 2 - low / 2)
    for number in finite:
        counts[min(int((number / 2 - start) * scale), bins - 1)] += 1
    return _edges(low, high, bins), [float(count) for count in counts], len(numbers) - len(finite)


def _histogram_of_array(array: Any, bins: int) -> tuple[list[float], list[float], int]:
    import numpy

    flat = array.reshape(-1)
    if flat.dtype.kind == "f":
        flat = flat.astype("float64") if flat.dtype.itemsize < 4 else flat
        finite = flat[numpy.isfinite(flat)]
    else:
        finite = flat.astype("float64") if flat.dtype.kind == "b" else flat
    low, high = _range(float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high - low > _WIDE:
        counts, _ = numpy.histogram(finite.astype("float64") / 2, bins=bins, range=(low / 2, high / 2))
    else:
        counts, _ = numpy.histogram(finite, bins=bins, range=(low, high))
    return _edges(low, high, bins), [float(count) for count in counts], int(flat.size - finite.size)


def _range(low: float, high: float) -> tuple[float, float]:
    """Wide enough for rising edges, as numpy does it for values that are all equal."""
    if high - low <= max(abs(high) * 1e-12, 1e-300):
        below, above = low - max(0.5, abs(low) * 1e-6), high + max(0.5, abs(high) * 1e-6)
        return below if math.isfinite(below) else low, above if math.isfinite(above) else high
    return low, high


#: A wider range overflows while values of float32 are counted into it.
_WIDE = 1e38


def _edges(low: float, high: float, bins: int) -> list[float]:
    if high - low > _WIDE:
        return [(low / 2 + (high / 2 - low / 2) * (index / bins)) * 2 for index in range(bins)] + [high]
    return [low + (high - low) * index / bins for index in range(bins)] + [high]
