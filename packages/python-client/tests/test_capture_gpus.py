"""GPUs: a library that answers like NVIDIA's, its program, and machines without either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capture_support import Captured, environment, until
from fieldbook.capture import gpus
from fieldbook.capture.gpus import Gpu, NvidiaSmi, Nvml
from support import Home

#: Three GPUs: one in order, one that says little, one that fell off the bus.
LIBRARY = """
#include <stdio.h>
#include <string.h>
typedef int R;
R nvmlInit_v2(void) { return 0; }
R nvmlShutdown(void) { return 0; }
R nvmlDeviceGetCount_v2(unsigned *n) { *n = 3; return 0; }
R nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { if (i == 2) return 15; *d = (void *)(unsigned long)(i + 1); return 0; }
R nvmlSystemGetDriverVersion(char *s, unsigned n) { snprintf(s, n, "550.54.15"); return 0; }
R nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = 12040; return 0; }
R nvmlDeviceGetName(void *d, char *s, unsigned n) { snprintf(s, n, "NVIDIA H100 number %lu", (unsigned long)d - 1); return 0; }
R nvmlDeviceGetUUID(void *d, char *s, unsigned n) { snprintf(s, n, "GPU-%08lu", (unsigned long)d - 1); return 0; }
R nvmlDeviceGetMemoryInfo(void *d, unsigned long long m[3]) { m[0] = 85899345920ULL; m[1] = 64424509440ULL; m[2] = 21474836480ULL * (unsigned long)d; return 0; }
R nvmlDeviceGetUtilizationRates(void *d, unsigned u[2]) { if ((unsigned long)d == 2) return 3; u[0] = 87; u[1] = 40; return 0; }
R nvmlDeviceGetPowerUsage(void *d, unsigned *mw) { *mw = 345678; return 0; }
R nvmlDeviceGetTemperature(void *d, int kind, unsigned *c) { *c = kind == 0 ? 65 : 0; return 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(LIBRARY)
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(target), str(folder / "nvml.c")], check=True)
    return str(target)


def test_what_the_library_says(library: str) -> None:
    """[CAP-10]"""
    found = Nvml(library)
    assert found.versions() == {"driver": "550.54.15", "cuda": "12.4"}
    first, second = found.look()
    assert first.facts == {"name": "NVIDIA H100 number 0", "uuid": "GPU-00000000", "memory_bytes": 85899345920}
    assert (
        first.index,
        first.utilisation_percent,
        first.memory_bytes,
        first.power_watts,
        first.temperature_celsius,
    ) == (
        0,
        87.0,
        21474836480.0,
        345.678,
        65.0,
    )
    assert (second.index, second.utilisation_percent, second.memory_bytes) == (1, None, 2 * 21474836480.0)
    found.close()


def test_a_run_on_gpus(home: Home, tmp_path: Path, library: str) -> None:
    """[CAP-10]"""
    script = "import fieldbook, sys\nrun = fieldbook.init('p', capture={'interval': 0.2})\nsys.stdin.readline()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(home, FIELDBOOK_NVML=library, CUDA_VISIBLE_DEVICES="GPU-00000000"),
        stdin=subprocess.PIPE,
        text=True,
    )
    until(lambda: any(one.values("sys/gpu/0/power_watts") for one in Captured(home).journals("system")))
    process.communicate("\n")
    found = Captured(home)
    metrics = {path: value for path, _, value, *_ in found.companion.points() if path.startswith("sys/gpu/")}
    assert metrics == {
        "sys/gpu/0/utilisation_percent": 87,
        "sys/gpu/0/memory_bytes": 21474836480,
        "sys/gpu/0/power_watts": 345.678,
        "sys/gpu/0/temperature_celsius": 65,
    }
    section = found.sections()["gpus"]
    assert (section["driver"], section["cuda"]) == ("550.54.15", "12.4")
    assert section["devices"] == [
        {"index": 0, "name": "NVIDIA H100 number 0", "uuid": "GPU-00000000", "memory_bytes": 85899345920}
    ]


def test_a_run_on_several_gpus(home: Home, tmp_path: Path, library: str) -> None:
    """[CAP-10] Each has its own metrics; what one of them does not say is not recorded of it."""
    script = "import fieldbook\nrun = fieldbook.init('p')\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(home, FIELDBOOK_NVML=library),
        timeout=60,
        check=True,
    )
    assert done.returncode == 0
    found = Captured(home)
    metrics = {path: value for path, _, value, *_ in found.companion.points() if path.startswith("sys/gpu/")}
    assert metrics["sys/gpu/0/memory_bytes"] == 21474836480
    assert metrics["sys/gpu/1/memory_bytes"] == 2 * 21474836480
    assert "sys/gpu/0/utilisation_percent" in metrics
    assert "sys/gpu/1/utilisation_percent" not in metrics
    assert [device["index"] for device in found.sections()["gpus"]["devices"]] == [0, 1]


def test_absent_gpus_load_and_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-10]"""
    monkeypatch.setattr(gpus, "_DEVICES", ("/nowhere",))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gpus, "Nvml", lambda *_: pytest.fail("loaded a library"))
    monkeypatch.setattr(gpus, "run", lambda *_, **__: pytest.fail("started a program"))
    assert gpus.find() is None


def test_a_library_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-10]"""
    (tmp_path / "libbad.so").write_bytes(b"not a library")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.find(str(tmp_path / "libbad.so")) is None
    with pytest.raises(OSError, match="nvmlInit_v2 is missing"):
        Nvml("libc.so.6" if sys.platform == "linux" else "libSystem.dylib")


SMI = """#!/bin/sh
echo "0, Tesla T4, GPU-aaa, 15360, 45, 1024, 36.50, 55, 470.82"
echo "1, Quadro, GPU-bbb, 8192, [N/A], 512, [Not Supported], 40, 470.82"
echo "Unable to determine the device handle for GPU 0000:03:00.0"
"""


def test_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-10]"""
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = gpus.find(str(tmp_path / "missing.so"))
    assert isinstance(found, NvidiaSmi)
    assert found.versions() == {"driver": "470.82", "cuda": None}
    one, two = found.look()
    assert (one.index, one.facts["name"], one.facts["memory_bytes"]) == (0, "Tesla T4", 15360 * 2**20)
    assert (one.utilisation_percent, one.memory_bytes, one.power_watts, one.temperature_celsius) == (
        45,
        1024 * 2**20,
        36.5,
        55,
    )
    assert (two.utilisation_percent, two.power_watts, two.temperature_celsius) == (None, None, 40)


def test_which_gpus_a_process_sees() -> None:
    """[CAP-10]"""

    def indices(said: str | None, names: tuple[str, ...] = ("A", "A", "A"), **more: str) -> list[int]:
        all_of_them = [Gpu(index, {"name": name, "uuid": f"GPU-{index}abc"}) for index, name in enumerate(names)]
        environ = {**more, **({} if said is None else {"CUDA_VISIBLE_DEVICES": said})}
        return [gpu.index for gpu in gpus.visible(all_of_them, environ)]

    assert indices(None) == [0, 1, 2]
    assert indices("1") == [1]
    assert indices("2, 0") == [2, 0]
    assert indices("GPU-1a") == [1]
    assert indices("") == []
    assert indices("-1") == []
    assert indices("0,-1,2") == [0]
    assert indices("0", ("A", "B")) == [0, 1]
    assert indices("0", ("A", "B"), CUDA_DEVICE_ORDER="PCI_BUS_ID") == [0]
