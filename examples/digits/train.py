"""Trains a small neural network on scikit-learn's digits and records it: ``python train.py --lr 0.003``."""

from __future__ import annotations

import argparse
import time

import numpy as np
from digits import PROJECT, fieldbook, split
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier


def train(params: dict, *, name: str | None = None, tags: list[str] | None = None, group: str | None = None) -> float:
    """One run; returns the best accuracy on the validation images. A network that diverges fails its run."""
    data = load_digits()
    images, labels = data.data / 16.0, data.target
    train_at, val_at = split(len(images), params["seed"])
    x_train, y_train, x_val, y_val = images[train_at], labels[train_at], images[val_at], labels[val_at]

    with fieldbook.init(PROJECT, name=name, tags=tags, group=group, config=params) as run:
        run["data"] = {"name": "sklearn digits", "train": len(x_train), "val": len(x_val)}
        model = MLPClassifier(
            hidden_layer_sizes=params["hidden"],
            solver=params["solver"],
            learning_rate_init=params["lr"],
            alpha=params["alpha"],
            random_state=params["seed"],
        )
        dice = np.random.default_rng(params["seed"])
        best = 0.0
        step = 0
        for epoch in range(params["epochs"]):
            begun = time.perf_counter()
            order = dice.permutation(len(x_train))
            for start in range(0, len(order), params["batch"]):
                batch = order[start : start + params["batch"]]
                model.partial_fit(x_train[batch], y_train[batch], classes=np.arange(10))
                run.log({"batch/loss": model.loss_}, step=step)
                step += 1
            accuracy = model.score(x_val, y_val)
            best = max(best, accuracy)
            run.log(
                {
                    "train/loss": log_loss(y_train, model.predict_proba(x_train), labels=range(10)),
                    "val/loss": log_loss(y_val, model.predict_proba(x_val), labels=range(10)),
                    "train/accuracy": model.score(x_train, y_train),
                    "val/accuracy": accuracy,
                    "time/epoch_s": time.perf_counter() - begun,
                },
                step=epoch,
            )
        run["result/best_accuracy"] = best
        print(f"best validation accuracy: {best:.4f}", flush=True)
        if best > 0.97:
            run.tags.add("good")
        return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64], help="units of each hidden layer")
    parser.add_argument("--alpha", type=float, default=1e-4, help="weight of the L2 penalty")
    parser.add_argument("--solver", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name")
    arguments = vars(parser.parse_args())
    name = arguments.pop("name")
    train(arguments, name=name, tags=["example"])


if __name__ == "__main__":
    main()
