"""Training cases in one piece of device memory, from which a whole batch of windows is taken at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Triple = tuple[int, int, int]


class Pool:
    """Arrays (z, y, x) of one type on one device, end to end.

    A window taken by itself costs a GPU a dozen launches, however small it is; here a batch of any size costs as many.
    """

    def __init__(self, arrays: Sequence[torch.Tensor]) -> None:
        """Copy ``arrays``."""
        self._flat = torch.cat([array.reshape(-1) for array in arrays])
        device = self._flat.device
        sizes = torch.tensor([array.numel() for array in arrays])
        self._begins = (sizes.cumsum(0) - sizes).to(device)
        self._shapes = torch.tensor([tuple(array.shape) for array in arrays]).to(device)

    def windows(self, numbers: Sequence[int], starts: Sequence[Triple], size: Triple) -> torch.Tensor:
        """Return the windows of ``size`` at ``starts`` of the arrays ``numbers``, (n, *size), zero outside an array."""
        device = self._flat.device
        where = torch.tensor([(number, *start) for number, start in zip(numbers, starts, strict=True)])
        if device.type == "cuda":
            where = where.pin_memory().to(device, non_blocking=True)
        shapes = self._shapes[where[:, 0]]
        inside = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device)
        index = torch.zeros((1, 1, 1, 1), dtype=torch.int64, device=device)
        for axis, length in enumerate(size):
            places = where[:, 1 + axis, None] + torch.arange(length, device=device)  # (n, length)
            side = shapes[:, axis, None]
            view = [len(numbers), 1, 1, 1]
            view[1 + axis] = length
            inside = inside & ((places >= 0) & (places < side)).view(view)
            index = index * side[:, :, None, None] + places.clamp(min=0).minimum(side - 1).view(view)
        index = index + self._begins[where[:, 0]][:, None, None, None]
        values = self._flat[index]
        return values.where(inside, values.new_zeros(()))
