"""Python, packages, machine, container, launcher and variables."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import pytest

from capture_support import Captured, run_in, write
from fieldbook.capture import machine, packages, surroundings
from support import Home


def dist(folder: Path, name: str, version: str, direct: dict[str, object] | None = None, **more: str) -> None:
    write(
        folder,
        {
            f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nBody\nName: wrong\n"
        },
    )
    if direct is not None:
        write(folder, {f"{name}-{version}.dist-info/direct_url.json": json.dumps(direct)})


def test_packages_of_a_search_path(tmp_path: Path) -> None:
    """[CAP-8]"""
    one, two = tmp_path / "one", tmp_path / "two"
    dist(one, "Numpy", "2.0.1")
    dist(
        one,
        "from_git",
        "1",
        {"url": "https://ada:s3cret@example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}},
    )
    dist(
        one,
        "edited",
        "1",
        {
            "url": "https://example.org/y.git",
            "vcs_info": {"vcs": "git", "commit_id": "def"},
            "dir_info": {"editable": True},
        },
    )
    dist(one, "local", "0.1", {"url": "file:///home/ada/local", "dir_info": {"editable": True}})
    dist(one, "archive", "3", {"url": "https://example.org/archive-3.tar.gz", "archive_info": {}})
    write(
        one,
        {
            "old.egg-info/PKG-INFO": "Name: old\nVersion: 0.5\n",
            "flat-1.2.egg-info": "Name: flat\nVersion: 1.2\n",
            "bare-9.dist-info/RECORD": "",
            "broken.dist-info/x": "",
        },
    )
    dist(two, "numpy", "1.0")
    dist(two, "other", "7")
    found = packages.installed([str(one), str(tmp_path / "nowhere"), str(two)])
    assert {package.name: package.version for package in found} == {
        "archive": "3", "bare": "9", "edited": "1", "flat": "1.2", "from_git": "1", "local": "0.1", "Numpy": "2.0.1", "old": "0.5", "other": "7",
    }  # fmt: skip
    lines = packages.requirements(found).splitlines()
    assert "Numpy==2.0.1" in lines
    assert "from_git @ git+https://example.org/x.git@abc123" in lines
    assert "-e git+https://example.org/y.git@def#egg=edited" in lines
    assert "# local==0.1 from file:///home/ada/local (editable)" in lines
    assert "archive @ https://example.org/archive-3.tar.gz" in lines
    assert packages.describe(found)["direct"]["from_git"] == {
        "url": "https://example.org/x.git",
        "vcs": "git",
        "commit": "abc123",
        "editable": False,
    }


def test_as_importlib_sees_them() -> None:
    """[CAP-8]"""
    from importlib.metadata import distributions

    theirs = {one.metadata["Name"]: one.version for one in distributions()}
    ours = {package.name: package.version for package in packages.installed(sys.path)}
    assert ours == theirs


def test_conda(tmp_path: Path) -> None:
    """[CAP-8]"""
    write(
        tmp_path / "env",
        {
            "conda-meta/history": "",
            "conda-meta/numpy-2.0.1-py311h1.json": json.dumps(
                {
                    "url": "https://conda.anaconda.org/t/us-0a1b2c/main/linux-64/numpy-2.0.1-py311h1.conda",
                    "md5": "d41d8",
                }
            ),
            "conda-meta/broken-1-0.json": "{",
            "conda-meta/python-dateutil-2.9-0.json": json.dumps(
                {"url": "https://conda.anaconda.org/conda-forge/noarch/python-dateutil-2.9-0.conda"}
            ),
        },
    )
    prefix = str(tmp_path / "env")
    found = packages.conda(prefix, {"CONDA_PREFIX": prefix, "CONDA_DEFAULT_ENV": "train"})
    assert found is not None
    section, explicit = found
    assert section == {
        "name": "train",
        "prefix": prefix,
        "packages": {"numpy": "2.0.1=py311h1", "python-dateutil": "2.9=0"},
    }
    assert explicit.splitlines() == [
        "@EXPLICIT",
        "https://conda.anaconda.org/main/linux-64/numpy-2.0.1-py311h1.conda#d41d8",
        "https://conda.anaconda.org/conda-forge/noarch/python-dateutil-2.9-0.conda",
    ]
    assert packages.conda(str(tmp_path)) is None
    assert packages.conda(None) is None


def test_a_run_carries_its_environment(home: Home, tmp_path: Path) -> None:
    """[CAP-8]"""
    script = "import fieldbook, sys, types\ntorch = sys.modules['torch'] = types.ModuleType('torch')\ntorch.__version__ = '2.9.0+cu128'\ntorch.version = types.SimpleNamespace(cuda='12.8')\nfieldbook.init('p')\n"
    done = run_in(
        tmp_path,
        home,
        "-u",
        "-X",
        "utf8",
        "-c",
        script,
        "--x",
        "1",
        OMP_NUM_THREADS="4",
        SECRET_THING="leak",
        SLURM_JOB_ID="77",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    sections = found.sections()
    python = sections["python"]
    assert python["version"] == platform.python_version()
    assert (python["executable"], python["prefix"], python["implementation"]) == (
        sys.executable,
        sys.prefix,
        sys.implementation.name,
    )
    assert python["virtualenv"] == (sys.prefix if sys.prefix != sys.base_prefix else None)
    assert (python["torch"], python["cuda"]) == ("2.9.0+cu128", "12.8")
    names = {name.lower() for name in sections["packages"]["packages"]}
    assert {"pytest", "numpy"} <= names
    assert b"pytest==" in found.files()["environment/requirements.txt"]
    there = sections["machine"]
    assert there["threads"] == os.cpu_count()
    assert there["memory_bytes"] > 10**8
    assert there["kernel"] == platform.release()
    assert there["disks"][0]["total_bytes"] > 0
    assert sections["variables"]["OMP_NUM_THREADS"] == "4"
    assert "SECRET_THING" not in sections["variables"]
    assert sections["launcher"]["job"] == 77
    command = sections["command"]
    assert command["argv"][1:] == ["--x", "1"]
    assert command["cwd"] == str(tmp_path)
    if sys.version_info >= (3, 10):
        assert command["interpreter_options"] == ["-u", "-X", "utf8"]


def test_variables_by_allow_list_only() -> None:
    """[CAP-8] [CAP-14]"""
    environ = {
        "CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_ID": "1", "SLURM_JWT": "eyJhbGciOi.eyJzdWIiOiIx.abc", "NCCL_DEBUG": "INFO", "OMPI_COMM_WORLD_RANK": "0",
        "HF_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "MY_TOOL": "x", "PATH": "/bin", "HOME": "/root", "USER": "ada", "NCCL_API_KEY": "x", "SLURM_AUTH_KEY": "x",
        "MASTER_ADDR": "10.0.0.1", "LD_PRELOAD": "https://u:p@h/x", "SSH_CONNECTION": "x", "FI_PROVIDER": "efa", "WANDB_API_KEY": "x",
    }  # fmt: skip
    found = surroundings.variables(environ)
    assert set(found) == {
        "CUDA_VISIBLE_DEVICES",
        "SLURM_JOB_ID",
        "NCCL_DEBUG",
        "OMPI_COMM_WORLD_RANK",
        "MASTER_ADDR",
        "LD_PRELOAD",
        "FI_PROVIDER",
    }
    assert found["LD_PRELOAD"] == "https://[redacted]@h/x"


ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("files", "environ", "expected"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, {"kind": "docker", "id": None}),
        ({".dockerenv": "", "proc/self/cgroup": f"12:pids:/docker/{ID}\n"}, {"CONTAINER_IMAGE": "repo/train:1"}, {"kind": "docker", "id": ID, "image": "repo/train:1"}),
        ({".dockerenv": "", "proc/self/cgroup": "0::/\n", "proc/self/mountinfo": f"1 2 0:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw\n"}, {}, {"id": ID}),
        ({"run/.containerenv": 'engine="podman"\nimage="registry.example.org/x:2"\n'}, {}, {"kind": "podman", "image": "registry.example.org/x:2"}),
        ({"proc/self/cgroup": "1:cpu:/kubepods/besteffort/pod1\n"}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "train-abc", "POD_NAMESPACE": "ml"}, {"kind": "kubernetes", "pod": "train-abc", "namespace": "ml"}),
        ({}, {"APPTAINER_CONTAINER": "/images/train.sif", "APPTAINER_NAME": "train.sif"}, {"kind": "apptainer", "image": "/images/train.sif"}),
        ({}, {"SINGULARITY_NAME": "x.sif"}, {"kind": "singularity"}),
        ({".dockerenv": ""}, {"IMAGE_NAME": "https://u:pw@reg/x", "IMAGE_TAG": "3"}, {"image": "https://[redacted]@reg/x"}),
    ],
)  # fmt: skip
def test_containers(
    tmp_path: Path, files: dict[str, str], environ: dict[str, str], expected: dict[str, str | None] | None
) -> None:
    """[CAP-8]"""
    write(tmp_path, files)
    found = surroundings.container(environ, str(tmp_path))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_PARTITION": "gpu"}, {"scheduler": "slurm", "job": 5, "array_task": 2, "partition": "gpu"}),
        ({"SLURM_JOB_ID": "5", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, {"scheduler": "slurm", "launcher": "srun", "rank": 3, "world_size": 8}),
        ({"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "h"}, {"launcher": "torchrun", "rank": 1, "world_size": 2, "master": "h"}),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}, {"launcher": "openmpi", "rank": 0, "world_size": 4}),
        ({"PMI_SIZE": "4", "PMI_RANK": "1"}, {"launcher": "mpi", "rank": 1}),
        ({"WORLD_SIZE": "2", "RANK": "0"}, {"launcher": "unknown", "rank": 0}),
        ({"PBS_JOBID": "9.server", "PBS_QUEUE": "q"}, {"scheduler": "pbs", "job": "9.server", "partition": "q"}),
        ({"LSB_JOBID": "4"}, {"scheduler": "lsf", "job": 4}),
        ({"KUBERNETES_SERVICE_HOST": "x"}, {"scheduler": "kubernetes"}),
    ],
)  # fmt: skip
def test_launchers(environ: dict[str, str], expected: dict[str, object] | None) -> None:
    """[CAP-8]"""
    found = surroundings.launcher(environ)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert {key: found.get(key) for key in expected} == expected


CPUINFO = "".join(
    f"processor\t: {number}\nmodel name\t: AMD EPYC 7742 64-Core Processor\nphysical id\t: {number // 4}\ncore id\t\t: {number % 2}\n\n"
    for number in range(8)
)


def test_recorded_machines(tmp_path: Path) -> None:
    """[CAP-8]"""
    assert machine.cpu(CPUINFO) == ("AMD EPYC 7742 64-Core Processor", 4)
    assert machine.cpu("processor\t: 0\nBogoMIPS\t: 50.00\n") == (None, None)
    assert machine.distribution('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\n') == "Ubuntu 24.04.1 LTS"
    assert machine.distribution("") is None
    mounts = f"/dev/sda1 / ext4 rw 0 0\nnfs:/x {os.path.realpath(tmp_path)} nfs4 rw 0 0\n"
    (found,) = machine.disks([str(tmp_path), str(tmp_path)], mounts)
    assert (found["filesystem"], found["folder"]) == ("nfs4", str(tmp_path))
    assert machine.disks(["/nowhere"], mounts) == []
