"""Whether memory ran out, giving back what is cached, and whether data may stay on a device."""

from __future__ import annotations

import gc

import torch

from autolv.runtime.malloc import give_back_freed_memory

_SHARE_FOR_DATA = 0.3  # of the free memory; activations need the rest
_SAID_BY_TORCH = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` says that the device's or the machine's memory is used up.

    On the CPU, and for some libraries on a GPU, torch says so in a plain ``RuntimeError``.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID_BY_TORCH)


def fits_beside_training(device: torch.device, size: int) -> bool:
    """Return whether ``size`` bytes of training data may stay on ``device``: a GPU that has several times that free."""
    return device.type == "cuda" and size <= _SHARE_FOR_DATA * torch.cuda.mem_get_info(device)[0]


def release_cached(device: torch.device) -> None:
    """Return to the device, or the system, what is kept for later: after a failed step that is most of the memory."""
    gc.collect()  # a compiled network and its optimiser hold one another
    if device.type == "cpu":
        give_back_freed_memory()
    elif device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def settle(device: torch.device) -> None:
    """Give back what a first step alone needed (on the CPU): what it leaves in pieces would lie beside that of all others.

    It makes the optimiser's moments amid the activations, and is what a network is compiled in.
    """
    if device.type == "cpu":
        release_cached(device)
