"""GPUs of this machine: what they are and how busy they are, from NVIDIA's library, else from ``nvidia-smi``.

A machine without a driver is found out by looking for its device files, so that nothing is loaded and nothing started.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Mapping

from .program import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import CDLL
    from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia", "/dev/dxg")
#: What a GPU has at least before a value of its is believed: the library answers "not available" with all ones.
_BYTES_LIMIT = 1 << 50


class Gpu:
    """One GPU at one moment. Numbers are None when the driver does not say them."""

    __slots__ = ("facts", "index", "memory_bytes", "power_watts", "temperature_celsius", "utilisation_percent")

    def __init__(self, index: int, facts: dict[str, Any]) -> None:
        self.index = index
        #: ``name``, ``uuid``, ``memory_bytes``: what does not change.
        self.facts = facts
        self.utilisation_percent: float | None = None
        self.memory_bytes: float | None = None
        self.power_watts: float | None = None
        self.temperature_celsius: float | None = None


class Nvml:
    """The driver's own library through ctypes. Raises ``OSError`` when it cannot be loaded or refuses."""

    def __init__(self, library: str = LIBRARY) -> None:
        import ctypes

        self._c = ctypes
        self._library: CDLL = ctypes.CDLL(library)
        self._call("nvmlInit_v2")
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        self._handles: list[Any] = []
        for index in range(count.value):
            handle = ctypes.c_void_p()
            # One lost GPU must not hide the others.
            self._handles.append(
                handle if self._try("nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(handle)) else None
            )
        self._facts = [self._describe(handle) for handle in self._handles]

    def versions(self) -> dict[str, str | None]:
        """``driver``, and ``cuda``: the newest that the driver can."""
        number = self._c.c_int()
        cuda = None
        if self._try("nvmlSystemGetCudaDriverVersion_v2", self._c.byref(number)):
            cuda = f"{number.value // 1000}.{number.value % 1000 // 10}"
        return {"driver": self._text("nvmlSystemGetDriverVersion"), "cuda": cuda}

    def look(self) -> list[Gpu]:
        """Every GPU as it is now."""
        found = []
        for index, handle in enumerate(self._handles):
            if handle is None:
                continue
            gpu = Gpu(index, self._facts[index])
            rates = (self._c.c_uint * 2)()
            if self._try("nvmlDeviceGetUtilizationRates", handle, rates):
                gpu.utilisation_percent = float(rates[0])
            used = self._memory(handle)[1]
            gpu.memory_bytes = None if used is None else float(used)
            number = self._c.c_uint()
            if self._try("nvmlDeviceGetPowerUsage", handle, self._c.byref(number)):
                gpu.power_watts = number.value / 1000
            if self._try("nvmlDeviceGetTemperature", handle, 0, self._c.byref(number)):
                gpu.temperature_celsius = float(number.value)
            found.append(gpu)
        return found

    def close(self) -> None:
        self._try("nvmlShutdown")

    def _describe(self, handle: Any) -> dict[str, Any]:
        if handle is None:
            return {}
        return {
            "name": self._text("nvmlDeviceGetName", handle),
            "uuid": self._text("nvmlDeviceGetUUID", handle),
            "memory_bytes": self._memory(handle)[0],
        }

    def _memory(self, handle: Any) -> tuple[int | None, int | None]:
        """Total and used bytes."""
        memory = (self._c.c_ulonglong * 3)()  # total, free, used
        if not self._try("nvmlDeviceGetMemoryInfo", handle, memory):
            return None, None
        total, _, used = (value if value < _BYTES_LIMIT else None for value in memory)
        return total, used

    def _text(self, name: str, *arguments: Any) -> str | None:
        buffer = self._c.create_string_buffer(128)
        return buffer.value.decode("utf-8", "replace") if self._try(name, *arguments, buffer, 128) else None

    def _try(self, name: str, *arguments: Any) -> bool:
        try:
            self._call(name, *arguments)
            return True
        except OSError:
            return False

    def _call(self, name: str, *arguments: Any) -> None:
        try:
            status = getattr(self._library, name)(*arguments)
        except AttributeError:
            raise OSError(f"{name} is missing") from None
        if status != 0:
            raise OSError(f"{name}: status {status}")


class NvidiaSmi:
    """The same from the program, for containers that have it without the library."""

    _FIELDS = "index,name,uuid,memory.total,utilization.gpu,memory.used,power.draw,temperature.gpu,driver_version"

    def __init__(self, program: str) -> None:
        self._program = program
        self._driver: str | None = None
        if not self.look():
            raise OSError("nvidia-smi shows no GPU")

    def versions(self) -> dict[str, str | None]:
        return {"driver": self._driver, "cuda": None}

    def look(self) -> list[Gpu]:
        said = run(
            [self._program, f"--query-gpu={self._FIELDS}", "--format=csv,noheader,nounits"], seconds=5.0, limit=1 << 20
        )
        if said is None or said.status != 0:
            return []
        return self.parse(said.text)

    def parse(self, text: str) -> list[Gpu]:
        """GPUs of its comma-separated lines; ``[N/A]`` is None."""
        found = []
        for words in csv.reader(text.splitlines(), skipinitialspace=True):
            if len(words) < 9 or not words[0].isdigit():
                continue
            total = _float(words[3])
            gpu = Gpu(
                int(words[0]),
                {"name": words[1], "uuid": words[2], "memory_bytes": None if total is None else int(total * 2**20)},
            )
            used = _float(words[5])
            gpu.utilisation_percent = _float(words[4])
            gpu.memory_bytes = None if used is None else used * 2**20
            gpu.power_watts, gpu.temperature_celsius = _float(words[6]), _float(words[7])
            self._driver = words[8]
            found.append(gpu)
        return found

    def close(self) -> None:
        pass


def find(library: str | None = None) -> Nvml | NvidiaSmi | None:
    """A way to ask the GPUs of this machine, None when it has none. ``library`` is asked in any case."""
    if library is None and sys.platform == "linux" and not any(os.path.exists(path) for path in _DEVICES):
        return None
    try:
        return Nvml(library or ("nvml.dll" if sys.platform == "win32" else LIBRARY))
    except OSError:
        pass
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        return NvidiaSmi(program)
    except OSError:
        return None


def describe(source: Nvml | NvidiaSmi, used: list[Gpu]) -> dict[str, Any]:
    """Section ``gpus``: ``driver``, ``cuda``, and ``devices`` with ``index``, ``name``, ``uuid``, ``memory_bytes``."""
    return {**source.versions(), "devices": [{"index": gpu.index, **gpu.facts} for gpu in used]}


def visible(gpus: list[Gpu], environ: Mapping[str, str]) -> list[Gpu]:
    """Those that ``CUDA_VISIBLE_DEVICES`` leaves to a process.

    CUDA counts the fastest first, the driver by place on the bus. Where the GPUs differ and ``CUDA_DEVICE_ORDER`` does not say that
    both count alike, a number names nobody for sure, and all are taken.
    """
    said = environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return gpus
    words = [word.strip() for word in said.split(",")]
    alike = len({gpu.facts.get("name") for gpu in gpus}) < 2 or environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    chosen = []
    for word in words:
        if word.isdigit():
            if not alike:
                return gpus
            chosen += [gpu for gpu in gpus if gpu.index == int(word)]
        elif word.startswith(("GPU-", "MIG-")):
            chosen += [gpu for gpu in gpus if str(gpu.facts.get("uuid")).startswith(word)]
        else:
            break  # -1 or an empty word hides this one and the rest
    return chosen


def _float(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
