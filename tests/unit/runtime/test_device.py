"""A device that is asked for and not there is refused; nothing runs silently elsewhere."""

import pytest
import torch

from autolv.core.errors import DeviceError
from autolv.runtime.device import autocast, memory_format, prepare, resolve_device


def test_cpu_and_auto() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda_is_refused_in_one_line() -> None:
    with pytest.raises(DeviceError, match="sees no CUDA GPU") as caught:
        resolve_device("cuda")
    assert "\n" not in str(caught.value) and "--device cpu" in caught.value.remedy


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cpu:a"])
def test_unknown_device_lists_the_known(name: str) -> None:
    with pytest.raises(DeviceError, match="unknown"):
        resolve_device(name)


def test_prepare_sets_the_threads_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        assert prepare(torch.device("cpu"), 1) == 1
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_autocast_computes_in_bfloat16_only_when_asked() -> None:
    a = torch.ones(4, 4)
    with autocast(torch.device("cpu"), "bfloat16"):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "float32"):
        assert (a @ a).dtype == torch.float32


def test_memory_format_by_dimensions() -> None:
    assert memory_format(2, channels_last=True) is torch.channels_last
    assert memory_format(3, channels_last=True) is torch.channels_last_3d
    assert memory_format(3, channels_last=False) is torch.contiguous_format
