"""``--deterministic`` holds for its block alone, and an operation that cannot keep it is told by name."""

import os

import pytest
import torch

from autolv.core.errors import DeviceError
from autolv.runtime.determinism import deterministic


@pytest.mark.parametrize("benchmark", [True, False])
def test_it_holds_in_the_block_and_what_was_before_comes_back(monkeypatch: pytest.MonkeyPatch, benchmark: bool) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", benchmark)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark is benchmark


def test_unasked_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic(False):
        assert not torch.are_deterministic_algorithms_enabled()
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_an_operation_without_such_a_kernel_is_named() -> None:
    with pytest.raises(DeviceError, match="put_ does not have a deterministic") as caught, deterministic(True):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert "--deterministic" in str(caught.value)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"), deterministic(True):
        torch.zeros(3) + torch.zeros(2)
