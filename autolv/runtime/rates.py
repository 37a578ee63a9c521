"""How fast a device multiplies matrices in each precision: the measure of what a training step reaches."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from autolv.runtime.device import synchronise

PRECISIONS = ("float32", "bfloat16", "float16")
_SIZES = (128, 256, 512, 1024, 2048)
_TAKES = 3
_PATIENCE_S = 0.6  # per size: what a precision that the processor has to emulate would take for longer is left out
_IN_A_ROW = {"cpu": 1}  # products between two looks at the clock; a GPU is done with one before it can be read
_IN_A_ROW_ELSEWHERE = 20


def matmul_rates(device: torch.device, precisions: Sequence[str] = PRECISIONS) -> dict[str, float]:
    """Return ``matmul_gflops`` for each of ``precisions``; one that the device does not have is left out."""
    rates = {}
    for precision in precisions:
        try:
            rates[precision] = matmul_gflops(device, precision)
        except (RuntimeError, TypeError):  # how torch says that there is no such product
            continue
    return rates


def matmul_gflops(device: torch.device, precision: str) -> float:
    """Return the rate, in GFLOP/s, of a product of two 2048 x 2048 matrices: the best of a few.

    Smaller products come first. Where they foretell more than a fraction of a second, theirs is the rate: a precision
    that the processor has to emulate can be a thousand times slower.
    """
    rate, expected_s = 0.0, 0.0
    for n in _SIZES:
        if _TAKES * expected_s > _PATIENCE_S:
            break
        seconds = _fastest_product_s(device, getattr(torch, precision), n)
        rate, expected_s = 2 * n**3 / seconds / 1e9, 8 * seconds
    return rate


def _fastest_product_s(device: torch.device, dtype: torch.dtype, n: int) -> float:
    a = torch.randn((n, n), generator=torch.Generator().manual_seed(0)).to(device, dtype)
    in_a_row = _IN_A_ROW.get(device.type, _IN_A_ROW_ELSEWHERE)
    seconds = []
    for _ in range(_TAKES):
        synchronise(device)
        begin = time.perf_counter()
        for _ in range(in_a_row):
            a @ a
        synchronise(device)
        seconds.append((time.perf_counter() - begin) / in_a_row)
    return min(seconds)
