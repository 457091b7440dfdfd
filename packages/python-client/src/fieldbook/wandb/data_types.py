"""``wandb.data_types``: the same classes under their other address."""

from __future__ import annotations

from .artifact import Artifact
from .values import Audio, Histogram, Html, Image, Plotly, Table, Video

__all__ = ["Artifact", "Audio", "Histogram", "Html", "Image", "Plotly", "Table", "Video"]
