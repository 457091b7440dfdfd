"""Fieldbook: every machine keeps a complete field book of its own training runs.

    import fieldbook

    with fieldbook.init("mnist", config={"lr": 1e-3}) as run:
        run["data/train"] = "train.parquet"
        for step in range(100):
            run.log({"train/loss": 1 / (step + 1)}, step=step)

Nothing needs to be running: a call appends to a file under ``~/.fieldbook`` and returns. The agent finds it later.
"""

from .run import Attribute, Run, Tags, init
from .version import VERSION as __version__

__all__ = ["Attribute", "Run", "Tags", "__version__", "init"]
