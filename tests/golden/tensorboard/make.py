"""Writes the golden event files with the libraries that people use. Run it where both are installed, then read the difference:

    python tests/golden/tensorboard/make.py torch        # torch.utils.tensorboard
    python tests/golden/tensorboard/make.py tensorboardX

Times, host and process id are fixed, so that the same versions write the same bytes.
"""

from __future__ import annotations

import shutil
import socket
import sys
import time
from pathlib import Path

import numpy as np

WHEN = 1_700_000_000.25


def main(library: str) -> None:
    folder = Path(__file__).parent / library
    shutil.rmtree(folder, ignore_errors=True)
    # Both libraries ask these for names and times.
    time.time = lambda: WHEN  # type: ignore[assignment]
    socket.gethostname = lambda: "golden"  # type: ignore[assignment]
    if library == "torch":
        import os

        os.getpid = lambda: 42  # type: ignore[assignment]
        from torch.utils.tensorboard import SummaryWriter
    else:
        from tensorboardX import SummaryWriter
    writer = SummaryWriter(str(folder))
    for step in range(3):
        writer.add_scalar("train/loss", 1 / (step + 1), step, walltime=WHEN + step)
    writer.add_scalar("odd//tag\u00e9", float("nan"), 5)
    writer.add_scalar("big", float("inf"), 2**40)
    writer.add_text("note", "hello **w\u00f6rld**", 2)
    writer.add_histogram("weights", np.array([0.0, 0.0, 1.0, 2.0, -3.0]), 1)
    image = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    writer.add_image("picture", image, 4)
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 7)
    if library == "torch":
        writer.add_scalar("new/style", 0.25, 1, new_style=True)
        writer.add_audio("tone", np.sin(np.arange(80) / 10.0)[None].astype("float32"), 1, sample_rate=8000)
        import torch
        from torch.utils.tensorboard.summary import tensor_proto

        for dtype in (torch.float64, torch.float16):
            writer._get_file_writer().add_summary(tensor_proto(f"tensor/{dtype}", torch.tensor(0.5, dtype=dtype)), 3)
    writer.add_hparams({"lr": 0.1, "opt": "adam", "amp": True}, {"hparam/acc": 0.75})
    writer.close()


main(sys.argv[1])
