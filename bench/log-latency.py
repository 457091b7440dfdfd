"""One system's share of the benchmark log-latency: how long one call takes, in a process of its own.

``python log-latency.py SYSTEM FOLDER SCALE`` prints ``{case: {figure: value}}``. Every call is timed by itself, gets a fresh
dictionary with other values, and is a step of its own. SCALE divides the number of calls.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from time import perf_counter_ns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/python-client/src"))

#: Keys of a call, and how many calls are timed (of a peer, which is slower, a tenth).
CASES = {"1 key": (1, 20_000), "10 keys": (10, 20_000), "100 keys": (100, 4_000)}
WARM_UP = 200


def measure(call, dictionaries):
    """Percentiles of the calls in µs."""
    for step, values in enumerate(dictionaries[:WARM_UP]):
        call(values, step)
    took = []
    for step, values in enumerate(dictionaries[WARM_UP:], WARM_UP):
        begun = perf_counter_ns()
        call(values, step)
        took.append(perf_counter_ns() - begun)
    took.sort()
    return {f"p{percent}_us": took[len(took) * percent // 100] / 1000 for percent in (50, 95, 99)}


def floor(folder, keys):
    """A bare write(2) of as many bytes as our record has."""
    record = bytes(25 + 12 * keys)
    file = os.open(os.path.join(folder, f"floor-{keys}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield lambda values, step: os.write(file, record)
    os.close(file)


def fieldbook(folder, keys):
    import fieldbook

    run = fieldbook.init("bench", home=folder)
    yield run.log
    run.finish()


def wandb(folder, keys):
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=folder, WANDB__DISABLE_STATS="true")
    import wandb

    run = wandb.init(project="bench", dir=folder)
    yield lambda values, step: run.log(values, step=step)
    run.finish()


def tensorboardX(folder, keys):
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(os.path.join(folder, "events"))

    def call(values, step):
        for key, value in values.items():
            writer.add_scalar(key, value, step)

    yield call
    writer.close()


def mlflow(folder, keys):
    os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", GIT_PYTHON_REFRESH="quiet")
    import mlflow

    mlflow.set_tracking_uri(f"file:{folder}/mlruns")
    with mlflow.start_run():
        yield lambda values, step: mlflow.log_metrics(values, step=step)


SYSTEMS = {"floor": floor, "fieldbook": fieldbook, "wandb": wandb, "tensorboardX": tensorboardX, "mlflow": mlflow}
#: A call of these is so slow that fewer are enough, and more would take minutes.
FEWER = {"wandb": 10, "tensorboardX": 10, "mlflow": 100}


def size_of(folder):
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)


def main(system, folder, scale):
    dice = random.Random(1)
    result = {}
    for case, (keys, full) in CASES.items():
        calls = max(50, full // scale // FEWER.get(system, 1))
        names = [f"train/metric_{index}" for index in range(keys)]
        dictionaries = [{name: dice.random() for name in names} for _ in range(calls + WARM_UP)]
        place = os.path.join(folder, str(keys))
        os.makedirs(place)
        for call in SYSTEMS[system](place, keys):
            result[case] = measure(call, dictionaries)
        if system == "fieldbook":
            result[case]["bytes_per_point"] = size_of(place) / len(dictionaries) / keys
    return result


if __name__ == "__main__":
    # Peers print; the last line is ours.
    print("\n" + json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
