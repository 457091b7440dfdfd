"""Fills a peer's own store with what its UI is to show: many runs with a few parameters, and one long series with spikes.

``python web-peers.py SYSTEM FOLDER RUNS POINTS``; prints one JSON object when all of it is stored. The spikes are 40 single points of
``5000.125 + k * 1.25`` (exact in float32, and like no step or time) over a wave between -1 and 1,
somewhat unevenly spaced: a peer that takes each n-th point meets a spike as often as any other point.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

SPIKES = 40


def series(points: int) -> list[float]:
    values = [math.sin(step / 5000) for step in range(points)]
    for k in range(SPIKES):
        values[points * (2 * k + 1) // (2 * SPIKES) + points * (k * 7919 % 997) // 1_000_000] = 5000.125 + k * 1.25
    return values


def fieldbook(folder: Path, runs: int, points: int) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/python-client/src"))
    import fieldbook as tracker

    for run in range(runs):
        with tracker.init("many", name=f"run-{run:04d}", home=folder, capture=False) as made:
            made["params"] = {"lr": 10 ** -(run % 4 + 1), "seed": run % 10}
            for step in range(3):
                made.log({"loss": 1 / (step + 1 + run)}, step=step)
    with tracker.init("long", name="long", home=folder, capture=False) as made:
        for step, value in enumerate(series(points)):
            made.log({"loss": value}, step=step)
    print(json.dumps({"run": made.id}))


def tensorboard(folder: Path, runs: int, points: int) -> None:
    from tensorboardX import SummaryWriter

    for run in range(runs):
        writer = SummaryWriter(str(folder / "many" / f"run-{run:04d}"), flush_secs=600)
        for step in range(3):
            writer.add_scalar("loss", 1 / (step + 1 + run), step)
        writer.close()
    writer = SummaryWriter(str(folder / "long" / "long"), flush_secs=600, max_queue=100_000)
    for step, value in enumerate(series(points)):
        writer.add_scalar("loss", value, step)
    writer.close()


def mlflow(folder: Path, runs: int, points: int) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    now = int(time.time() * 1000)
    many = client.create_experiment("many", artifact_location=str(folder / "artifacts"))
    for run in range(runs):
        made = client.create_run(many, run_name=f"run-{run:04d}")
        client.log_batch(
            made.info.run_id,
            metrics=[Metric("loss", 1 / (step + 1 + run), now, step) for step in range(3)],
            params=[
                Param("lr", str(10 ** -(run % 4 + 1))),
                Param("seed", str(run % 10)),
            ],
        )
        client.set_terminated(made.info.run_id)
    long = client.create_experiment("long", artifact_location=str(folder / "artifacts"))
    made = client.create_run(long, run_name="long")
    values = series(points)
    for first in range(0, points, 1000):
        client.log_batch(
            made.info.run_id,
            metrics=[
                Metric("loss", value, now + first + place, first + place)
                for place, value in enumerate(values[first : first + 1000])
            ],
        )
    client.set_terminated(made.info.run_id)
    print(json.dumps({"many": many, "long": long, "run": made.info.run_id}))


def aim(folder: Path, runs: int, points: int) -> None:
    from aim import Run
    from aim.sdk.repo import Repo

    repo = Repo.from_path(str(folder), init=True)
    for run in range(runs):
        made = Run(
            repo=repo,
            experiment="many",
            system_tracking_interval=None,
            log_system_params=False,
            capture_terminal_logs=False,
        )
        made.name = f"run-{run:04d}"
        made["hparams"] = {"lr": 10 ** -(run % 4 + 1), "seed": run % 10}
        for step in range(3):
            made.track(1 / (step + 1 + run), name="loss", step=step)
        made.close()
    made = Run(
        repo=repo,
        experiment="long",
        system_tracking_interval=None,
        log_system_params=False,
        capture_terminal_logs=False,
    )
    made.name = "long"
    for step, value in enumerate(series(points)):
        made.track(value, name="loss", step=step)
    made.close()
    print(json.dumps({"run": made.hash}))


def trackio(folder: Path, runs: int, points: int) -> None:
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio as tracker

    for run in range(runs):
        made = tracker.init(
            project="many",
            name=f"run-{run:04d}",
            config={"lr": 10 ** -(run % 4 + 1), "seed": run % 10},
            embed=False,
        )
        for step in range(3):
            tracker.log({"loss": 1 / (step + 1 + run)}, step=step)
        made.finish()
    made = tracker.init(project="long", name="long", embed=False)
    for step, value in enumerate(series(points)):
        tracker.log({"loss": value}, step=step)
    made.finish()


if __name__ == "__main__":
    system, folder, runs, points = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    {
        "fieldbook": fieldbook,
        "tensorboard": tensorboard,
        "mlflow": mlflow,
        "aim": aim,
        "trackio": trackio,
    }[system](Path(folder), int(runs), int(points))
