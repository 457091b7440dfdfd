"""What the three scripts share: the data, and a client even where nothing is installed."""

from __future__ import annotations

import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: One digit a line: its class, a space, and 64 pixels from 0 to g (16), row by row.
DATA = HERE / "digits.txt"
PIXELS = "0123456789abcdefg"
PROJECT = "digits"

try:
    import fieldbook
except ImportError:  # run from a checkout, with nothing installed
    sys.path.insert(0, str(HERE.parents[1] / "packages/python-client/src"))
    import fieldbook

__all__ = ["PROJECT", "fieldbook", "load_plain", "split"]


def load_plain() -> tuple[list[list[float]], list[int]]:
    """Images as 64 numbers between 0 and 1, and their classes."""
    value = {letter: index / 16 for index, letter in enumerate(PIXELS)}
    lines = DATA.read_text("ascii").split("\n")[:-1]
    return [[value[letter] for letter in line[2:]] for line in lines], [int(line[0]) for line in lines]


def split(count: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Indices for training and validation: four fifths and one fifth, the same for the same seed."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    cut = count * 4 // 5
    return order[:cut], order[cut:]
