"""A small network in NumPy that keeps what it sees: pictures, tables, histograms, a page, a model, and its data.

``python train.py --hidden 32`` trains on the digits beside it for a few seconds. Nothing but NumPy is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "digits" / "digits.txt"
PIXELS = "0123456789abcdefg"

try:
    import fieldbook
except ImportError:  # run from a checkout, with nothing installed
    sys.path.insert(0, str(HERE.parents[1] / "packages/python-client/src"))
    import fieldbook


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 64) between 0 and 1, and their classes (n,)."""
    lines = path.read_text("ascii").split("\n")[:-1]
    images = np.array([[PIXELS.index(letter) / 16 for letter in line[2:]] for line in lines])
    return images, np.array([int(line[0]) for line in lines])


class Network:
    """One hidden layer of ReLUs and a softmax over ten classes, trained by SGD with momentum."""

    def __init__(self, hidden: int, seed: int) -> None:
        dice = np.random.default_rng(seed)
        self.weights = {
            "hidden": dice.normal(0, 0.2, (64, hidden)),
            "output": dice.normal(0, 0.2, (hidden, 10)),
        }
        self.momentum = {name: np.zeros_like(weight) for name, weight in self.weights.items()}

    def forward(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hidden = np.maximum(images @ self.weights["hidden"], 0)
        scores = hidden @ self.weights["output"]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def step(self, images: np.ndarray, labels: np.ndarray, lr: float) -> float:
        hidden, shares = self.forward(images)
        loss = -np.log(shares[np.arange(len(labels)), labels] + 1e-12).mean()
        wrong = shares
        wrong[np.arange(len(labels)), labels] -= 1
        wrong /= len(labels)
        back = (wrong @ self.weights["output"].T) * (hidden > 0)
        for name, gradient in (("output", hidden.T @ wrong), ("hidden", images.T @ back)):
            self.momentum[name] = 0.9 * self.momentum[name] - lr * gradient
            self.weights[name] += self.momentum[name]
        return float(loss)


def picture(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Digits side by side as one grey picture, four pixels a pixel."""
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * 9, columns * 9))
    for place, image in enumerate(images):
        top, left = place // columns * 9, place % columns * 9
        sheet[top : top + 8, left : left + 8] = image.reshape(8, 8)
    return np.kron((sheet * 255).astype(np.uint8), np.ones((4, 4), np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--project", default="media")
    parser.add_argument("--name")
    chosen = parser.parse_args()

    images, labels = load(chosen.data)
    order = np.random.default_rng(chosen.seed).permutation(len(images))
    cut = len(images) * 4 // 5
    train_at, val_at = order[:cut], order[cut:]

    with fieldbook.init(chosen.project, name=chosen.name) as run:
        run.define_metric("val/accuracy", goal="max")
        run.define_metric("val/loss", goal="min")
        run["data/digits"].track_files(chosen.data)
        network = Network(chosen.hidden, chosen.seed)
        for epoch in range(chosen.epochs):
            losses = []
            for start in range(0, cut, 64):
                batch = train_at[start : start + 64]
                losses.append(network.step(images[batch], labels[batch], chosen.lr))
            _, shares = network.forward(images[val_at])
            guesses = shares.argmax(axis=1)
            accuracy = float((guesses == labels[val_at]).mean())
            loss = float(-np.log(shares[np.arange(len(val_at)), labels[val_at]] + 1e-12).mean())
            run.log({"train/loss": float(np.mean(losses)), "val/loss": loss, "val/accuracy": accuracy}, step=epoch)
            colour = "\x1b[32m" if accuracy > 0.9 else "\x1b[33m"
            print(f"epoch {epoch:3d}  loss {loss:.4f}  accuracy {colour}{accuracy:.4f}\x1b[0m", flush=True)
            if epoch % 5 == 4:
                missed = val_at[guesses != labels[val_at]][:24]
                if len(missed) > 0:
                    run["samples/missed"].append(
                        fieldbook.Image(picture(images[missed]), caption=f"{len(missed)} of those it missed"),
                        step=epoch,
                    )
                run["samples/filters"].append(
                    fieldbook.Image(picture(_scaled(network.weights["hidden"].T))), step=epoch
                )
                for name, weight in network.weights.items():
                    run[f"weights/{name}"].append(fieldbook.Histogram(weight.ravel(), bins=40), step=epoch)
                pairs = [
                    [int(a), int(b), int(((labels[val_at] == a) & (guesses == b)).sum())]
                    for a in range(10)
                    for b in range(10)
                ]
                run["confusion"].append(
                    fieldbook.Table(columns=["truth", "guess", "n"], rows=[p for p in pairs if p[2]]), step=epoch
                )
                checkpoint = HERE / "checkpoint.npz"
                np.savez(checkpoint, **network.weights)
                run["checkpoints/last.npz"].upload(checkpoint)
                checkpoint.unlink()
        run["report"].append(
            fieldbook.Html(f"<h1>Digits</h1><p>Accuracy <b>{accuracy:.4f}</b> after {chosen.epochs} epochs.</p>"),
            step=chosen.epochs - 1,
        )
        run["result.json"].upload(json.dumps({"accuracy": accuracy, "loss": loss}, indent=2).encode())
        run["result/accuracy"] = accuracy


def _scaled(rows: np.ndarray) -> np.ndarray:
    low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
    return (rows - low) / (high - low)


if __name__ == "__main__":
    main()
