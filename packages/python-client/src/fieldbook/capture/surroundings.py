"""What a process was started in: container, scheduler or launcher, and the environment variables that matter.

Environment variables are taken by an allow-list of names, never "all but": the next tool's secret has a name that nobody
here can know. What is on the list and named or shaped like a secret is redacted all the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ..redaction import is_secret_name, redact_lines
from . import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Names of variables that change what a training computes or where, and hold nothing personal.
_ALLOWED = """
    CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_LAUNCH_BLOCKING CUDA_DEVICE_MAX_CONNECTIONS CUDA_MODULE_LOADING CUDA_HOME CUDA_VERSION
    CUBLAS_WORKSPACE_CONFIG NVIDIA_VISIBLE_DEVICES NVIDIA_TF32_OVERRIDE NVIDIA_DRIVER_CAPABILITIES HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES
    OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS VECLIB_MAXIMUM_THREADS
    KMP_AFFINITY KMP_BLOCKTIME GOMP_CPU_AFFINITY MALLOC_ARENA_MAX LD_PRELOAD
    PYTHONHASHSEED PYTHONUNBUFFERED PYTHONOPTIMIZE PYTHONDONTWRITEBYTECODE PYTHONFAULTHANDLER PYTHONPATH PYTHONMALLOC
    PYTORCH_CUDA_ALLOC_CONF PYTORCH_ALLOC_CONF PYTORCH_ENABLE_MPS_FALLBACK TORCH_HOME TORCH_CUDNN_V8_API_ENABLED TORCH_ALLOW_TF32_CUBLAS_OVERRIDE
    TORCH_NCCL_ASYNC_ERROR_HANDLING TORCH_NCCL_BLOCKING_WAIT TORCHDYNAMO_DISABLE TORCHINDUCTOR_CACHE_DIR TORCH_LOGS TORCH_DISTRIBUTED_DEBUG
    TF_DETERMINISTIC_OPS TF_CUDNN_DETERMINISTIC TF_ENABLE_ONEDNN_OPTS TF_FORCE_GPU_ALLOW_GROWTH TF_GPU_ALLOCATOR TF_CPP_MIN_LOG_LEVEL TF_XLA_FLAGS
    XLA_FLAGS XLA_PYTHON_CLIENT_PREALLOCATE XLA_PYTHON_CLIENT_MEM_FRACTION JAX_PLATFORMS JAX_ENABLE_X64 JAX_DEFAULT_MATMUL_PRECISION
    KERAS_BACKEND TOKENIZERS_PARALLELISM TRANSFORMERS_OFFLINE HF_HUB_OFFLINE HF_DATASETS_OFFLINE HF_HOME HF_DATASETS_CACHE ACCELERATE_MIXED_PRECISION
    RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK ROLE_RANK NODE_RANK MASTER_ADDR MASTER_PORT TORCHELASTIC_RUN_ID TORCHELASTIC_RESTART_COUNT
    TORCHELASTIC_MAX_RESTARTS PL_GLOBAL_SEED LSB_JOBID LSB_QUEUE PBS_JOBID PBS_QUEUE PBS_JOBNAME SGE_TASK_ID JOB_ID FLUX_JOB_ID RAY_JOB_ID COBALT_JOBID
    CONDA_DEFAULT_ENV CONDA_PREFIX VIRTUAL_ENV POETRY_ACTIVE PIXI_ENVIRONMENT_NAME
    CONTAINER_IMAGE DOCKER_IMAGE IMAGE_NAME IMAGE_TAG SINGULARITY_NAME SINGULARITY_CONTAINER APPTAINER_NAME APPTAINER_CONTAINER
    KUBERNETES_SERVICE_HOST HOSTNAME POD_NAME POD_NAMESPACE NODE_NAME
    CI GITHUB_ACTIONS GITHUB_REPOSITORY GITHUB_REF GITHUB_SHA GITHUB_RUN_ID GITHUB_WORKFLOW GITLAB_CI CI_COMMIT_SHA CI_PIPELINE_ID CI_JOB_NAME
    LANG LC_ALL TZ
    """
ALLOWED = frozenset(_ALLOWED.split())
#: Families of which every name but a secret's is taken.
_FAMILIES = re.compile(
    r"(SLURM_(?!.*(KEY|CRED|AUTH))|NCCL_|OMPI_COMM_WORLD_|PMI_(RANK|SIZE)|PALS_|NVSHMEM_|UCX_|FI_|MLX_|RAY_(?!.*(KEY|AUTH)))"
)
_VALUE = 1024
_VARIABLES = 300
_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Section ``variables``: the allowed ones, sorted by name."""
    found: dict[str, str] = {}
    for name in sorted(environ):
        if (name in ALLOWED or _FAMILIES.match(name)) and not is_secret_name(name):
            found[name] = redact_lines(environ[name])[:_VALUE]
            if len(found) >= _VARIABLES:
                break
    return found


def container(environ: Mapping[str, str] = os.environ, root: str = "/") -> dict[str, Any] | None:
    """Section ``container``: ``kind``, ``id``, ``image``, ``pod``, ``namespace``; None outside of one.

    The image is what variables say: a container does not know the name that it was started by.
    """
    cgroup = procfs.read(os.path.join(root, "proc/1/cgroup")) + procfs.read(os.path.join(root, "proc/self/cgroup"))
    mounts = procfs.read(os.path.join(root, "proc/self/mountinfo"), 1 << 18)
    kind = None
    if environ.get("APPTAINER_NAME") or environ.get("APPTAINER_CONTAINER"):
        kind = "apptainer"
    elif environ.get("SINGULARITY_NAME") or environ.get("SINGULARITY_CONTAINER"):
        kind = "singularity"
    elif environ.get("KUBERNETES_SERVICE_HOST") or "kubepods" in cgroup:
        kind = "kubernetes"
    elif os.path.exists(os.path.join(root, "run/.containerenv")):
        kind = "podman"
    elif os.path.exists(os.path.join(root, ".dockerenv")) or "/docker/" in cgroup:
        kind = "docker"
    elif environ.get("container"):
        kind = environ["container"][:40]
    if kind is None:
        return None
    found = _CONTAINER_ID.search(cgroup) or _CONTAINER_ID.search(
        "\n".join(line for line in mounts.splitlines() if "/containers/" in line)
    )
    about = procfs.read(os.path.join(root, "run/.containerenv"), 4096)
    said = re.search(r'^image="([^"]+)"', about, re.MULTILINE)
    names = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "CONTAINER_IMAGE", "DOCKER_IMAGE", "IMAGE_NAME")
    image = said[1] if said else next((environ[name] for name in names if environ.get(name)), None)
    tag = environ.get("IMAGE_TAG")
    if image and tag and image == environ.get("IMAGE_NAME") and ":" not in image:
        image = f"{image}:{tag}"
    return {
        "kind": kind,
        "id": found.group() if found else None,
        "image": redact_lines(image)[:_VALUE] if image else None,
        "pod": environ.get("POD_NAME") or (environ.get("HOSTNAME") if kind == "kubernetes" else None),
        "namespace": environ.get("POD_NAMESPACE"),
    }


def launcher(environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """Section ``launcher``: which scheduler and launcher started the process, as what part of which job; None for neither."""
    found: dict[str, Any] = {}
    if environ.get("SLURM_JOB_ID"):
        names = {
            "job": "SLURM_JOB_ID",
            "job_name": "SLURM_JOB_NAME",
            "array_job": "SLURM_ARRAY_JOB_ID",
            "array_task": "SLURM_ARRAY_TASK_ID",
            "step": "SLURM_STEP_ID",
            "nodes": "SLURM_JOB_NODELIST",
            "partition": "SLURM_JOB_PARTITION",
            "account": "SLURM_JOB_ACCOUNT",
            "cluster": "SLURM_CLUSTER_NAME",
            "restarts": "SLURM_RESTART_COUNT",
        }
        found = {"scheduler": "slurm", **_said(environ, names)}
    elif environ.get("PBS_JOBID"):
        found = {
            "scheduler": "pbs",
            **_said(environ, {"job": "PBS_JOBID", "job_name": "PBS_JOBNAME", "partition": "PBS_QUEUE"}),
        }
    elif environ.get("LSB_JOBID"):
        found = {"scheduler": "lsf", **_said(environ, {"job": "LSB_JOBID", "partition": "LSB_QUEUE"})}
    elif environ.get("KUBERNETES_SERVICE_HOST"):
        found = {"scheduler": "kubernetes"}
    if environ.get("TORCHELASTIC_RUN_ID"):
        names = {
            "restart": "TORCHELASTIC_RESTART_COUNT",
            "master": "MASTER_ADDR",
            "rank": "RANK",
            "local_rank": "LOCAL_RANK",
            "world_size": "WORLD_SIZE",
        }
        found.update(
            {"launcher": "torchrun", "torchelastic_run": environ["TORCHELASTIC_RUN_ID"], **_said(environ, names)}
        )
    elif environ.get("OMPI_COMM_WORLD_SIZE"):
        names = {
            "rank": "OMPI_COMM_WORLD_RANK",
            "local_rank": "OMPI_COMM_WORLD_LOCAL_RANK",
            "world_size": "OMPI_COMM_WORLD_SIZE",
        }
        found.update({"launcher": "openmpi", **_said(environ, names)})
    elif environ.get("PMI_SIZE"):
        found.update({"launcher": "mpi", **_said(environ, {"rank": "PMI_RANK", "world_size": "PMI_SIZE"})})
    elif environ.get("SLURM_PROCID") and environ.get("SLURM_STEP_ID"):
        names = {"rank": "SLURM_PROCID", "local_rank": "SLURM_LOCALID", "world_size": "SLURM_NTASKS"}
        found.update({"launcher": "srun", **_said(environ, names)})
    elif environ.get("WORLD_SIZE"):
        found.update(
            {
                "launcher": "unknown",
                **_said(environ, {"rank": "RANK", "local_rank": "LOCAL_RANK", "world_size": "WORLD_SIZE"}),
            }
        )
    return found or None


def _said(environ: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for key, name in names.items():
        value = environ.get(name)
        if value:
            found[key] = int(value) if value.isdigit() and len(value) < 16 else redact_lines(value)[:_VALUE]
    return found
