"""A sweep over learning rate, hidden units and penalty: ``python sweep.py [--epochs 25]``, about a minute.

Twelve runs and a thirteenth that diverges, so that there is a failure to look at, too.
"""

from __future__ import annotations

import argparse
import itertools

from train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    common = {"solver": "adam", "batch": arguments.batch, "epochs": arguments.epochs, "seed": 0}

    for lr, hidden, alpha in itertools.product([3e-4, 3e-3, 3e-2], [[16], [64, 32]], [1e-4, 1.0]):
        name = f"lr {lr:g}, {'×'.join(map(str, hidden))}, α {alpha:g}"
        print(f"{name:28} ", end="", flush=True)
        train({"lr": lr, "hidden": hidden, "alpha": alpha, **common}, name=name, tags=["sweep"], group="sweep 1")

    print(f"{'too fast':28} ", end="", flush=True)
    try:
        params = {"lr": 1e8, "hidden": [64], "alpha": 1e-4, **common, "solver": "sgd"}
        train(params, name="too fast", tags=["sweep"], group="sweep 1")
    except ValueError as error:
        print(f"failed, as it should: {error}")


if __name__ == "__main__":
    main()
