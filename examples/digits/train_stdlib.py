"""The same task with Python's standard library alone: a network of one hidden layer, about a second an epoch.

``python train_stdlib.py --lr 0.3 --hidden 24``
"""

from __future__ import annotations

import argparse
import math
import random
import time

from digits import PROJECT, fieldbook, load_plain, split

Vector = list


class Network:
    """64 inputs, one tanh layer, softmax over 10 classes; plain stochastic gradient descent."""

    def __init__(self, hidden: int, seed: int) -> None:
        dice = random.Random(seed)
        self.w1 = [[dice.gauss(0, 1 / 8) for _ in range(64)] for _ in range(hidden)]
        self.b1 = [0.0] * hidden
        self.w2 = [[dice.gauss(0, 1 / math.sqrt(hidden)) for _ in range(hidden)] for _ in range(10)]
        self.b2 = [0.0] * 10

    def forward(self, image: Vector) -> tuple[Vector, Vector]:
        """Hidden activations and class probabilities."""
        hidden = [math.tanh(b + sum(map(float.__mul__, row, image))) for row, b in zip(self.w1, self.b1)]
        scores = [b + sum(map(float.__mul__, row, hidden)) for row, b in zip(self.w2, self.b2)]
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        total = sum(powers)
        return hidden, [power / total for power in powers]

    def learn(self, image: Vector, label: int, rate: float) -> float:
        """One step on one image; returns its loss before the step."""
        hidden, chances = self.forward(image)
        loss = -math.log(max(chances[label], 1e-12))
        chances[label] -= 1.0  # the gradient of the scores
        back = [sum(chances[c] * self.w2[c][h] for c in range(10)) for h in range(len(hidden))]
        for c, gradient in enumerate(chances):
            move = rate * gradient
            self.w2[c] = [w - move * h for w, h in zip(self.w2[c], hidden)]
            self.b2[c] -= move
        for h, activation in enumerate(hidden):
            move = rate * back[h] * (1 - activation * activation)
            self.w1[h] = [w - move * x for w, x in zip(self.w1[h], image)]
            self.b1[h] -= move
        return loss


def evaluate(network: Network, images: list[Vector], labels: list[int]) -> tuple[float, float]:
    """Mean loss and accuracy."""
    loss = 0.0
    right = 0
    for image, label in zip(images, labels):
        _, chances = network.forward(image)
        loss -= math.log(max(chances[label], 1e-12))
        right += chances[label] == max(chances)
    return loss / len(images), right / len(images)


def train(params: dict, name: str | None = None) -> float:
    """One run; returns the best accuracy on the validation images."""
    images, labels = load_plain()
    train_at, val_at = split(len(images), params["seed"])
    val = [images[i] for i in val_at], [labels[i] for i in val_at]
    dice = random.Random(params["seed"])
    with fieldbook.init(PROJECT, name=name, tags=["standard library"], config=params) as run:
        run["data"] = {"name": "digits.txt", "train": len(train_at), "val": len(val_at)}
        network = Network(params["hidden"], params["seed"])
        best = 0.0
        step = 0
        for epoch in range(params["epochs"]):
            begun = time.perf_counter()
            dice.shuffle(train_at)
            rate = params["lr"] / (1 + params["decay"] * epoch)
            total = recent = 0.0
            for seen, index in enumerate(train_at, 1):
                loss = network.learn(images[index], labels[index], rate)
                total += loss
                recent += loss
                if seen % 128 == 0:
                    run.log({"batch/loss": recent / 128}, step=step)
                    recent = 0.0
                    step += 1
            val_loss, accuracy = evaluate(network, *val)
            best = max(best, accuracy)
            run.log(
                {
                    "train/loss": total / len(train_at),
                    "val/loss": val_loss,
                    "val/accuracy": accuracy,
                    "lr": rate,
                    "time/epoch_s": time.perf_counter() - begun,
                },
                step=epoch,
            )
        run["result/best_accuracy"] = best
        return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=0.2, help="the rate is lr / (1 + decay × epoch)")
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name")
    arguments = vars(parser.parse_args())
    name = arguments.pop("name")
    print(f"best validation accuracy: {train(arguments, name=name):.4f}")


if __name__ == "__main__":
    main()
