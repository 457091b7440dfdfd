"""One system's share of the benchmark log-latency, in a process of its own; prints ``{case: {figure: value}}`` as its last line.

``python log-latency.py calls SYSTEM FOLDER SCALE``: how long one call takes. Every call is timed by itself, gets a fresh dictionary
with other values, and is a step of its own.

``python log-latency.py loop SYSTEM FOLDER SCALE``: how much longer a fixed NumPy loop takes when one call of one key is made
10, 100 and 1,000 times a second. Stretches with and without calls take turns in one process, so that what else the machine does meets both.

SCALE divides the number of calls and the length of the loops.
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
    """As users have it: everything is captured."""
    import fieldbook

    run = fieldbook.init("bench", home=folder)
    yield run.log
    run.finish()


def fieldbook_bare(folder, keys):
    import fieldbook

    run = fieldbook.init("bench", home=folder, capture=False)
    yield run.log
    run.finish()


def wandb(folder, keys):
    os.environ.update(
        WANDB_MODE="offline",
        WANDB_SILENT="true",
        WANDB_DIR=folder,
        WANDB__DISABLE_STATS="true",
    )
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


def mlflow_sqlite(folder, keys):
    os.environ.update(GIT_PYTHON_REFRESH="quiet")
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        yield lambda values, step: mlflow.log_metrics(values, step=step)


def trackio(folder, keys):
    os.environ.update(TRACKIO_DIR=folder, HF_HUB_OFFLINE="1")
    import trackio

    run = trackio.init(project="bench", embed=False)
    yield lambda values, step: run.log(values, step=step)
    trackio.finish()


def aim(folder, keys):
    import aim

    run = aim.Run(
        repo=folder,
        system_tracking_interval=None,
        log_system_params=False,
        capture_terminal_logs=False,
    )

    def call(values, step):
        for key, value in values.items():
            run.track(value, name=key, step=step)

    yield call
    run.close()


def neptune(folder, keys):
    os.chdir(folder)
    import neptune

    run = neptune.init_run(
        mode="offline",
        project="bench/bench",
        capture_stdout=False,
        capture_stderr=False,
        capture_hardware_metrics=False,
        git_ref=False,
        source_files=[],
    )

    def call(values, step):
        for key, value in values.items():
            run[key].append(value, step=step)

    yield call
    run.stop()


SYSTEMS = {
    "floor": floor,
    "fieldbook": fieldbook,
    "fieldbook_bare": fieldbook_bare,
    "wandb": wandb,
    "tensorboardX": tensorboardX,
    "mlflow": mlflow,
    "mlflow_sqlite": mlflow_sqlite,
    "trackio": trackio,
    "aim": aim,
    "neptune": neptune,
}
#: A call of these is so slow that fewer are enough, and more would take minutes.
FEWER = {
    "wandb": 10,
    "tensorboardX": 10,
    "mlflow": 100,
    "mlflow_sqlite": 200,
    "trackio": 10,
    "aim": 50,
    "neptune": 20,
}


def size_of(folder):
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)


def journals_of(folder):
    return size_of(os.path.join(folder, "journals"))


def calls(system, folder, scale):
    dice = random.Random(1)
    result = {}
    for case, (keys, full) in CASES.items():
        count = max(50, full // scale // FEWER.get(system, 1))
        names = [f"train/metric_{index}" for index in range(keys)]
        dictionaries = [{name: dice.random() for name in names} for _ in range(count + WARM_UP)]
        place = os.path.join(folder, str(keys))
        os.makedirs(place)
        for call in SYSTEMS[system](place, keys):
            result[case] = measure(call, dictionaries)
        if system == "fieldbook_bare":
            result[case]["bytes_per_point"] = journals_of(place) / len(dictionaries) / keys
    return result


#: Calls a second in the loop.
RATES = (10, 100, 1000)
#: Stretches with calls and as many without, of a second each, per rate.
STRETCHES = 4


def loop(system, folder, scale):
    import numpy

    dice = numpy.random.default_rng(1)
    left, right = dice.random((96, 96)), dice.random((96, 96))
    out = numpy.empty_like(left)

    def work(times):
        for _ in range(times):
            numpy.matmul(left, right, out=out)

    # As many multiplications as fill a millisecond, the time between two calls at the highest rate.
    best = min(_seconds(work, 200) for _ in range(20)) / 200
    unit = max(1, round(0.001 / best))
    result = {}
    for call in SYSTEMS[system](folder, 1):
        for rate in RATES:
            units = max(50, 1000 // scale)
            every = max(1, 1000 // rate)
            total = {False: 0, True: 0}
            pairs = []
            step = 0
            for turn in range(max(2, STRETCHES // scale) * 10):
                # In turns of a tenth of a stretch, each beginning with the other one than the last.
                took = {}
                for logs in (turn % 2 == 0, turn % 2 != 0):
                    begun = perf_counter_ns()
                    for index in range(turn % 10 * units // 10, (turn % 10 + 1) * units // 10):
                        work(unit)
                        if logs and index % every == 0:
                            call({"train/loss": 1 / (step + 1)}, step)
                            step += 1
                    took[logs] = perf_counter_ns() - begun
                    total[logs] += took[logs]
                pairs.append(took[True] / took[False])
            pairs.sort()
            result[f"loop, {rate} calls/s"] = {
                # All of it, with every stall on either side; and a usual turn, which stalls of the machine do not reach.
                "slowdown_ratio": total[True] / total[False],
                "usual_slowdown_ratio": pairs[len(pairs) // 2],
            }
    return result


def _seconds(work, times):
    begun = perf_counter_ns()
    work(times)
    return (perf_counter_ns() - begun) / 1e9


if __name__ == "__main__":
    mode = {"calls": calls, "loop": loop}[sys.argv[1]]
    # Peers print; the last line is ours.
    print("\n" + json.dumps(mode(sys.argv[2], sys.argv[3], int(sys.argv[4]))), flush=True)
