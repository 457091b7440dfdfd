"""Pictures as PNG, written by :mod:`zlib` alone, and frames as animated PNG. No library is needed for either."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

from .media_array import is_array, is_tensor, to_numpy
from .media_source import FILE_LIMIT, mime_of, source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: Bytes or a path, name, mime and what is known about the picture.
    Encoded = Callable[[], tuple[bytes | str, str, str | None, dict[str, Any]]]


_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: PNG's colour types by the number of channels: grey, grey and alpha, RGB, RGBA.
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
#: A side of a picture; a browser shows no larger one.
SIDE_LIMIT = 32_767
FRAMES_LIMIT = 10_000


def image_of(image: Any) -> Encoded:
    """How a picture becomes bytes. Raises ``TypeError`` for what is none, ``ValueError`` for what it cannot be."""
    if is_array(image):
        return _image_of_array(image)
    if is_pil(image):
        return lambda: _encode_pil(image)
    if is_matplotlib(image):
        from .media_figure import figure_of

        return figure_of(image)[0]
    if isinstance(image, (list, tuple)):
        raise TypeError("image must be one picture, not a list; append each, or hand in an array")
    try:
        source, name = source_of(image, "image")
    except TypeError:
        raise TypeError(
            f"image must be an array, tensor, PIL image, figure, path or bytes, not {type(image).__name__}"
        ) from None
    name = name or f"image{_ending_of(source)}"
    return lambda: (source, name, mime_of(name), {})


def is_pil(value: Any) -> bool:
    """An image of PIL or Pillow."""
    return hasattr(value, "save") and hasattr(value, "getbands") and hasattr(value, "size")


def is_matplotlib(value: Any) -> bool:
    """A figure, or axes of one, of matplotlib (or seaborn, which draws with it)."""
    figure = getattr(value, "figure", None) if not hasattr(value, "savefig") else value
    return callable(getattr(figure, "savefig", None)) and hasattr(figure, "canvas")


def _ending_of(source: Any) -> str:
    head = source[:12] if isinstance(source, bytes) else b""
    for start, ending in ((_SIGNATURE, ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp")):
        if head.startswith(start):
            return ending
    return ".webp" if head[8:12] == b"WEBP" else ""


def _image_of_array(image: Any) -> Encoded:
    height, width, channels, first = shape_of(tuple(image.shape), is_tensor(image), "image")

    def encode() -> tuple[bytes, str, str, dict[str, Any]]:
        array = to_numpy(image, "image")
        if first:
            array = array.transpose(1, 2, 0)
        pixels = pixels_of(array.reshape(height, width, channels))
        return png(pixels), "image.png", "image/png", {"width": width, "height": height}

    return encode


def shape_of(shape: tuple[int, ...], tensor: bool, argument: str) -> tuple[int, int, int, bool]:
    """Height, width, channels, and whether the channels come first. Raises ``TypeError`` for other shapes."""
    channels, first = 1, False
    if len(shape) == 3:
        first = tensor and 1 <= shape[0] <= 4
        channels = shape[0] if first else shape[2]
        height, width = shape[1:] if first else shape[:2]
    elif len(shape) == 2:
        height, width = shape
    else:
        height = width = 0
    if len(shape) not in (2, 3) or not 1 <= channels <= 4 or not (height and width):
        wanted = "C×H×W, H×W×C or H×W" if tensor else "H×W or H×W×C"
        raise TypeError(f"{argument} must have the shape {wanted} with 1 to 4 channels, not {shape}")
    if max(height, width) > SIDE_LIMIT:
        raise ValueError(f"{argument} has {height} × {width} pixels; a side has at most {SIDE_LIMIT}")
    return height, width, channels, first


def pixels_of(array: Any) -> Any:
    """An array of any numbers as 8-bit (or 16-bit) ones, as :class:`fieldbook.Image` says."""
    import numpy

    kind = array.dtype.kind
    if kind == "b":
        return array.astype(numpy.uint8) * 255
    if kind == "u" and array.dtype.itemsize <= 2:
        return array
    if kind in "iu":
        return numpy.clip(array, 0, 255).astype(numpy.uint8)
    floats = numpy.nan_to_num(array.astype(numpy.float32), nan=0.0, posinf=1.0, neginf=0.0)
    low, high = float(floats.min()), float(floats.max())
    if low < 0:
        floats = (floats - low) * (255.0 / ((high - low) or 1.0))
    elif high <= 1:
        floats = floats * 255.0
    return numpy.clip(numpy.rint(floats), 0, 255).astype(numpy.uint8)


def png(pixels: Any) -> bytes:
    """A PNG of an array H×W×C of ``uint8`` or ``uint16``."""
    head, data = _head(pixels), _compressed(pixels)
    result: bytes = _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    if len(result) > FILE_LIMIT:
        raise ValueError(f"the picture has {len(result)} bytes as PNG; a series holds at most {FILE_LIMIT} each")
    return result


def _head(pixels: Any) -> bytes:
    height, width, channels = pixels.shape
    depth = 16 if pixels.dtype.itemsize == 2 else 8
    sides: bytes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return sides + bytes((depth, _COLOURS[channels], 0, 0, 0))


def _compressed(pixels: Any) -> bytes:
    """The rows under PNG's filters "none" or "up" (the difference to the row above), whichever is smaller."""
    import numpy

    height = pixels.shape[0]
    rows = pixels.astype(">u2") if pixels.dtype.itemsize == 2 else pixels
    flat = numpy.ascontiguousarray(rows).view(numpy.uint8).reshape(height, -1)
    plain = numpy.zeros((height, flat.shape[1] + 1), numpy.uint8)
    plain[:, 1:] = flat
    up = plain.copy()
    up[1:, 1:] -= flat[:-1]
    up[1:, 0] = 2
    # A look at some of the rows decides: photographs gain by "up", drawings by "none".
    some = slice(0, min(height, 64))
    best: Any = min((plain, up), key=lambda rows: len(zlib.compress(rows[some].tobytes(), 1)))
    return zlib.compress(best.tobytes(), 6)


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _encode_pil(image: Any) -> tuple[bytes, str, str, dict[str, Any]]:
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = image.convert("RGBA" if "A" in image.mode else "RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    width, height = image.size
    return _checked(out.getvalue(), "image"), "image.png", "image/png", {"width": width, "height": height}


def _checked(data: bytes, argument: str) -> bytes:
    if len(data) > FILE_LIMIT:
        raise ValueError(f"{argument} has {len(data)} bytes; a series holds at most {FILE_LIMIT} each")
    return data


def video_of(video: Any, fps: Any) -> Encoded:
    """How moving pictures become bytes. Raises as :func:`image_of` does."""
    if isinstance(fps, bool) or not isinstance(fps, (int, float)):
        raise TypeError(f"fps must be a number, not {type(fps).__name__}")
    if not 0.01 <= fps <= 1000:
        raise ValueError(f"fps must be from 0.01 to 1000, not {fps}")
    if not is_array(video):
        try:
            source, name = source_of(video, "video")
        except TypeError:
            raise TypeError(f"video must be an array, a path or bytes, not {type(video).__name__}") from None
        name = name or ("video.gif" if isinstance(source, bytes) and source.startswith(b"GIF8") else "video.mp4")
        return lambda: (source, name, mime_of(name), {})
    shape = tuple(video.shape)
    if len(shape) not in (3, 4) or not 1 <= shape[0] <= FRAMES_LIMIT:
        raise TypeError(f"video must have the shape T×H×W×C, or T×C×H×W for a tensor, not {shape}")
    # Frames with channels first are wandb's and torchvision's custom; three or four rows of pixels would be no picture.
    swapped = len(shape) == 4 and shape[3] > 4 and shape[1] <= 4
    height, width, channels, first = shape_of(shape[1:], swapped or is_tensor(video), "a frame of video")

    def encode() -> tuple[bytes, str, str, dict[str, Any]]:
        frames = to_numpy(video, "video")
        if first:
            frames = frames.transpose(0, 2, 3, 1)
        pixels = pixels_of(frames.reshape(shape[0], height, width, channels))
        about = {"width": width, "height": height, "frames": shape[0], "fps": fps}
        return animated_png(pixels, fps), "video.png", "image/apng", about

    return encode


def animated_png(frames: Any, fps: float) -> bytes:
    """An animated PNG of frames T×H×W×C of ``uint8`` or ``uint16``, repeated without end. Browsers play it as a picture."""
    count, height, width, _ = frames.shape
    delay = (round(1000 / fps) if fps >= 0.02 else 50_000).to_bytes(2, "big") + (1000).to_bytes(2, "big")
    parts = [_SIGNATURE, _chunk(b"IHDR", _head(frames[0]))]
    parts.append(_chunk(b"acTL", count.to_bytes(4, "big") + bytes(4)))
    sequence = 0
    size = 0
    for index in range(count):
        place = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(8)
        parts.append(_chunk(b"fcTL", sequence.to_bytes(4, "big") + place + delay + bytes(2)))
        sequence += 1
        data = _compressed(frames[index])
        if index == 0:
            parts.append(_chunk(b"IDAT", data))
        else:
            parts.append(_chunk(b"fdAT", sequence.to_bytes(4, "big") + data))
            sequence += 1
        size += len(data)
        if size > FILE_LIMIT:
            raise ValueError(f"video has more than {FILE_LIMIT} bytes as animated PNG; hand in an encoded file")
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)
