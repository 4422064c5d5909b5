"""The number format a model computes in, and the hardware that has it."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

#: Formats of the configuration; ``auto`` is one of the other two, by the machine.
FLOAT32, BFLOAT16 = "float32", "bfloat16"

# Flags of /proc/cpuinfo: Intel's matrix unit, the vector unit of Intel and AMD, and that of Arm.
_BFLOAT16_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "bf16": "Arm's BF16"}
_CPUINFO = Path("/proc/cpuinfo")


def resolve_compute(compute: str) -> str:
    """Turn ``auto`` into the format that this machine is fast in.

    Parameters
    ----------
    compute : str
        ``auto``, ``float32`` or ``bfloat16``.

    Returns
    -------
    str
        ``float32`` or ``bfloat16``.
    """
    if compute != "auto":
        return compute
    unit = bfloat16_unit()
    chosen = BFLOAT16 if unit else FLOAT32
    reason = f"this machine has {unit}" if unit else "this machine has no unit for bfloat16"
    log.info("embeddings/compute: auto is %s, since %s", chosen, reason)
    return chosen


def bfloat16_unit() -> str:
    """Name what computes bfloat16 fast on this machine, empty where nothing does."""
    import torch

    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.cuda.get_device_name() if fast else ""
    flags = _cpu_field("flags", "Features").split()
    return next((name for flag, name in _BFLOAT16_FLAGS.items() if flag in flags), "")


def device_name() -> str:
    """Name the GPU, or the CPU where there is none."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return _cpu_field("model name", "CPU part") or "CPU"


def _cpu_field(*names: str) -> str:
    """Return the first of these fields that the machine tells of its first CPU; empty where it tells none."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in fields if name.strip() in names), "")
