"""Kernels that give the same bits each time, also on a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autolv.core.errors import DeviceError


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:  # noqa: FBT001 - it is the flag's value
    """Let torch take only kernels that give the same bits each time while the block lasts, if that is ``wanted``.

    On the CPU they do so anyway, for one number of threads. Raises ``DeviceError`` where a network needs an operation
    that has no such kernel on its device.
    """
    if not wanted:
        yield
        return
    # read when cuBLAS is first used; without it results may vary (NVIDIA's cuBLAS manual, on reproducibility)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False  # it times kernels and takes the fastest, not always the same one
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise DeviceError(
            f"this network cannot be trained with --deterministic on this device: {str(error).partition('.')[0]}.",
            remedy="Leave --deterministic out, train another configuration, or take --device cpu.",
        ) from error
    finally:
        torch.use_deterministic_algorithms(mode=before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
