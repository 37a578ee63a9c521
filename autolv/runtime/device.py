"""Which device to work on, its name, and how threads are set."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from autolv.core.errors import DeviceError
from autolv.runtime.cores import granted_cores
from autolv.runtime.malloc import keep_freed_memory


def resolve_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    ``auto`` takes CUDA, then MPS, then the CPU. A device that is named but not there is a ``DeviceError``: never a
    silent run on the CPU.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise DeviceError(f"device {name!r} is unknown.", remedy="Use auto, cpu, cuda, cuda:N or mps.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device 'cuda' was asked for, but this PyTorch sees no CUDA GPU.",
            remedy="Use --device cpu, or install a CUDA build of PyTorch.",
        )
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name!r} was asked for, but there are {torch.cuda.device_count()} GPUs.",
            remedy="Number them from 0.",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' was asked for, but it is not there.", remedy="Use --device cpu.")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return the processor's or the GPU's name."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def prepare(device: torch.device, threads: int | None = None, *, processes: int = 1) -> int:
    """Set threads to the cores granted, divided among ``processes`` (or to ``threads``), and tune malloc; return them."""
    count = threads or max(1, granted_cores() // processes)
    if device.type == "cpu":
        keep_freed_memory()
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a network runs in ``precision`` (float32, bfloat16 or float16)."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def with_weights_in(network: torch.nn.Module, precision: str) -> torch.nn.Module:
    """Change the weights of ``network``'s convolutions to what they are in ``autocast``, once and for all; return it.

    What it computes there is the same bit for bit: otherwise each pass would convert them anew. For prediction alone.
    """
    if precision != "float32":
        for module in network.modules():
            if isinstance(module, torch.nn.modules.conv._ConvNd):
                module.to(getattr(torch, precision))
    return network


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return ``tensor`` on ``device``; to a GPU it goes by way of pinned memory, so that the host does not wait for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def synchronise(device: torch.device) -> None:
    """Wait until ``device`` has done all that it was given; the CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory_format(dimensions: int, *, channels_last: bool) -> torch.memory_format:
    """Return the memory format for tensors with ``dimensions`` spatial axes."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if dimensions == 2 else torch.channels_last_3d


def device_memory_gb(device: torch.device) -> float:
    """Return the memory of a CUDA device in GiB."""
    return float(torch.cuda.get_device_properties(device).total_memory) / 2**30
