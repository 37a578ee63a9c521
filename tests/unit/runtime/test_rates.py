"""The rate of matrix products: that of the largest which the precision's speed allows, bounded where that is hopeless."""

from __future__ import annotations

import time

import pytest
import torch

from autolv.runtime import rates
from autolv.runtime.rates import matmul_gflops, matmul_rates

CPU = torch.device("cpu")


def test_a_fast_precision_is_measured_by_the_large_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_fastest_product_s", lambda device, dtype, n: 2 * n**3 / (50e9 * (n / 128)))
    assert matmul_gflops(CPU, "float32") == pytest.approx(800.0)  # 50 GFLOP/s at 128


def test_a_hopeless_precision_is_given_up_before_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def emulated(device: torch.device, dtype: torch.dtype, n: int) -> float:
        sizes.append(n)
        return 2 * n**3 / 0.5e9

    monkeypatch.setattr(rates, "_fastest_product_s", emulated)
    assert matmul_gflops(CPU, "float16") == pytest.approx(0.5)
    assert sizes == [128, 256]  # 67 ms at 256: three of eight times that would take 1.6 s


def test_a_precision_that_a_device_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def product(device: torch.device, dtype: torch.dtype, n: int) -> float:
        if dtype == torch.bfloat16:
            raise TypeError("BFloat16 is not supported on this device")
        return 1.0

    monkeypatch.setattr(rates, "_fastest_product_s", product)
    assert list(matmul_rates(CPU)) == ["float32", "float16"]


def test_real_rates_are_positive_and_leave_the_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    begin = time.monotonic()
    found = matmul_rates(CPU)
    assert time.monotonic() - begin < 30.0  # a few seconds even where every precision is emulated
    assert set(found) == {"float32", "bfloat16", "float16"} and min(found.values()) > 0
    assert torch.equal(torch.get_rng_state(), state)
