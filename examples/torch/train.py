"""Trains a small network on the digits with PyTorch, on the CPU or a GPU: ``python train.py --lr 0.01``.

The lines with ``fieldbook`` or ``run`` are all that recording takes. With several processes it is the same script::

    torchrun --nproc-per-node 2 train.py
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "digits"))
from digits import DATA, PROJECT, fieldbook, load_plain, split


def network(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = "cuda" if torch.cuda.is_available() and ranks == 1 else "cpu"

    run = fieldbook.init(PROJECT, name=arguments.name, tags=["torch"])
    run.define_metric("val/accuracy", goal="max")
    run["data/train"].track_files(DATA)

    images, labels = load_plain()
    train_at, val_at = split(len(images), arguments.seed)
    x, y = torch.tensor(images, device=device), torch.tensor(labels, device=device)
    model: nn.Module = network(arguments.hidden).to(device)
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.lr)
    mine = torch.tensor(train_at[rank::ranks])
    step = 0
    for epoch in range(arguments.epochs):
        for batch in mine[torch.randperm(len(mine))].split(arguments.batch):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({"train/loss": loss}, step=step)
            step += 1
        with torch.no_grad():
            scores = model(x[val_at])
            accuracy = (scores.argmax(1) == y[val_at]).float().mean()
        run.log({"val/accuracy": accuracy}, step=epoch)
        print(f"epoch {epoch}: accuracy {accuracy:.4f}", flush=True)

    wrong = [index for index, guess in zip(val_at, scores.argmax(1).tolist()) if guess != labels[index]]
    for place, index in enumerate(wrong[:4]):
        image = x[index].reshape(8, 8)
        run["val/mistakes"].append(fieldbook.Image(image, caption=f"a {labels[index]}"), step=place)
    plain = model.module if ranks > 1 else model
    run["model"].upload(plain.state_dict())
    run["result/accuracy"] = float(accuracy)
    run.finish()
    if ranks > 1:
        torch.distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
