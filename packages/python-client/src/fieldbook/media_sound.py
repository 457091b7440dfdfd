"""Sound as WAV, written by the :mod:`wave` module."""

from __future__ import annotations

import array
import io
import sys

from .media_array import is_array, to_numpy
from .media_source import mime_of, source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .media_image import Encoded


CHANNELS_LIMIT = 32


def audio_of(audio: Any, rate: Any) -> Encoded:
    """How sound becomes bytes. Raises ``TypeError``/``ValueError`` naming the argument."""
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int)):
        raise TypeError(f"rate must be an integer, not {type(rate).__name__}")
    if rate is not None and not 1 <= rate <= 1_000_000:
        raise ValueError(f"rate must be from 1 to 1000000 samples a second, not {rate}")
    if not is_array(audio) and not _is_list(audio):
        try:
            source, name = source_of(audio, "audio")
        except TypeError:
            raise TypeError(
                f"audio must be samples, a path, bytes or an open file, not {type(audio).__name__}"
            ) from None
        name = name or "audio.wav"
        about = {} if rate is None else {"rate": rate}
        return lambda: (source, name, mime_of(name), about)
    if rate is None:
        raise TypeError("rate is missing: how many samples a second has the audio?")
    if not is_array(audio):
        samples, channels = _of_list(audio), 1
        return lambda: _wav(samples, channels, rate)
    shape = tuple(audio.shape)
    if len(shape) not in (1, 2) or not shape[0] or (len(shape) == 2 and not 1 <= min(shape) <= CHANNELS_LIMIT):
        raise TypeError(f"audio must have the shape samples or samples×channels, not {shape}")

    def encode() -> tuple[bytes, str, str, dict[str, Any]]:
        found = to_numpy(audio, "audio")
        if found.ndim == 2 and found.shape[0] < found.shape[1] and found.shape[0] <= CHANNELS_LIMIT:
            found = found.T  # channels first, as torchaudio has it
        channels = 1 if found.ndim == 1 else found.shape[1]
        return _wav(_of_array(found), channels, rate)

    return encode


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, array.array))


def _of_list(given: Any) -> bytes:
    try:
        numbers = [float(sample) for sample in given]
    except (TypeError, ValueError):
        raise TypeError("audio must be a flat list of numbers in −1…1") from None
    found = array.array("h", (round(max(-1.0, min(1.0, number)) * 32767) for number in numbers))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def _of_array(found: Any) -> bytes:
    import numpy

    if found.dtype.kind == "f":
        clean = numpy.nan_to_num(found.astype(numpy.float32), nan=0.0, posinf=1.0, neginf=-1.0)
        found = numpy.rint(numpy.clip(clean, -1.0, 1.0) * 32767)
    elif found.dtype == numpy.uint8:
        found = (found.astype(numpy.int32) - 128) * 256
    elif found.dtype == numpy.int32:
        found = found >> 16
    return bytes(numpy.ascontiguousarray(numpy.clip(found, -32768, 32767).astype("<i2")).tobytes())


def _wav(samples: bytes, channels: int, rate: int) -> tuple[bytes, str, str, dict[str, Any]]:
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    about = {"rate": rate, "channels": channels, "seconds": len(samples) / 2 / channels / rate}
    return out.getvalue(), "audio.wav", "audio/wav", about
