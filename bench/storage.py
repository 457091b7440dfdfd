"""What a tracker leaves on disk of one series; the share of the benchmark storage that runs in Python, in a process of its own.

``python storage.py SYSTEM FOLDER VALUES COUNT``: logs the first COUNT doubles of the file VALUES, one call each, and ends the run.
Systems are those of log-latency.py.
"""

from __future__ import annotations

import array
import importlib.util
import sys
from pathlib import Path


def systems():
    place = Path(__file__).resolve().parent / "log-latency.py"
    spec = importlib.util.spec_from_file_location("log_latency", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SYSTEMS


def main():
    system, folder, values, count = sys.argv[1:]
    logged = array.array("d")
    with open(values, "rb") as file:
        logged.frombytes(file.read())
    for call in systems()[system](folder, 1):
        for step, value in enumerate(logged[: int(count)]):
            call({"train/loss": value}, step)


if __name__ == "__main__":
    main()
