"""A Hydra application: ``python train.py lr=0.01 model.hidden=32``. Configuration and overrides are recorded without being named."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import hydra
from omegaconf import DictConfig
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "digits"))
from digits import PROJECT, fieldbook, load_plain, split


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    images, labels = load_plain()
    train_at, val_at = split(len(images), config.seed)
    with fieldbook.init(PROJECT, tags=["hydra"]) as run:
        model = MLPClassifier(
            [config.model.hidden], alpha=config.model.alpha, learning_rate_init=config.lr, random_state=config.seed
        )
        for epoch in range(config.epochs):
            model.partial_fit([images[i] for i in train_at], [labels[i] for i in train_at], classes=range(10))
            accuracy = model.score([images[i] for i in val_at], [labels[i] for i in val_at])
            run.log({"train/loss": model.loss_, "val/accuracy": accuracy}, step=epoch)
        run["model"].upload(model)
        run["result/accuracy"] = accuracy


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
