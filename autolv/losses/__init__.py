"""Training losses by name; each maps logits and integer targets to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from autolv.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    # logits (n, classes, *size), target (n, *size) int64 -> scalar
    Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: Registry[Callable[[], Loss]] = Registry("loss", "autolv.losses")
