"""How torch.compile works on the CPU: with as little memory beside the training as it can."""

from __future__ import annotations

from types import ModuleType


def compile_lean() -> None:
    """Let torch compile for the CPU one kernel at a time, and a backward pass ahead of the forward pass.

    A compiler of C++ takes 200 to 350 MB for any kernel, most of them for torch's headers, and torch starts as many as there
    are cores. A backward pass is compiled by default when it is first wanted, beside all that the forward pass has saved
    for it. Processes that compile Triton's kernels, of no use on a CPU, are not started. The code that comes out is the same.
    """
    import torch._functorch.config as ahead_of_time  # here, as they take a second and nothing else needs them
    import torch._inductor.config as inductor

    _set(inductor, "compile_threads", 1)
    _set(ahead_of_time, "force_non_lazy_backward_lowering", value=True)


def _set(settings: ModuleType, name: str, value: object) -> None:
    """Give a setting its value, if this version of torch has it."""
    if hasattr(settings, name):
        setattr(settings, name, value)
