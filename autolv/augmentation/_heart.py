"""A heart that contracts or dilates: a smooth radial change about the cavity's centre, within slices, of image and labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from autolv.augmentation._spatial import resample_labels
from autolv.runtime.device import sent

CAVITY, WALL = 1, 2  # channels of the LV's cavity and muscle, which come first wherever they are labelled
_BEYOND_CAVITY = (1.4, 3.0)  # cavity radii, and pixels more: about the outer border of a wall that is not labelled


def squeeze(images: Tensor, labels: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """Contract (``strength`` above 0) or dilate (below 0) the cavity of each slice of image and labels alike.

    What lies at the distance d from the cavity's centre comes from d (1 + strength (1 - d / reach)^2), the reach being the
    radius of a disc as large as cavity and wall: the cavity changes, the wall grows thicker or thinner, and beyond it
    nothing moves. Rises everywhere for strengths between -1 and 3, so that nothing folds. Slices without a cavity stay.

    Args:
        images: (k, z, Y, X) float32.
        labels: (k, z, Y, X) uint8; of the middle slices only, where images have others beside them.
        strength: (k,).
    """
    k, depth, rows, columns = labels.shape
    beside = (images.shape[1] - depth) // 2
    offset_y, offset_x, reach, there = _cavities(labels)
    distance = torch.hypot(offset_y, offset_x)
    share = (1 - distance / reach).clamp_min(0.0)
    factor = 1 + sent(strength, labels.device).view(k, 1, 1, 1) * there * share * share
    grid = torch.stack([  # x before y, in [-1, 1] from edge to edge
        _position(offset_x * (factor - 1), columns, axis=-1), _position(offset_y * (factor - 1), rows, axis=-2),
    ], dim=-1)  # fmt: skip
    of_images = grid
    if beside:  # neighbours go as the outermost slice whose labels are known
        of_images = torch.cat(
            [grid[:, :1].expand(-1, beside, -1, -1, -1), grid, grid[:, -1:].expand(-1, beside, -1, -1, -1)], 1
        )
    moved = grid_sample(
        images.reshape(-1, 1, rows, columns), of_images.flatten(0, 1), padding_mode="zeros", align_corners=False
    )
    moved_labels = resample_labels(labels.reshape(-1, 1, rows, columns), grid.flatten(0, 1))
    return moved.view_as(images), moved_labels.view_as(labels)


def _cavities(labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of each slice how far each pixel lies from the cavity's centre along y and x, the reach, and if it has one.

    All in pixels, (k, z, Y, 1), (k, z, 1, X), (k, z, 1, 1) and (k, z, 1, 1).
    """
    mask = (labels == CAVITY).float()
    area = mask.sum(dim=(-2, -1), keepdim=True)
    y = torch.arange(labels.shape[-2], device=labels.device, dtype=torch.float32).view(1, 1, -1, 1)
    x = torch.arange(labels.shape[-1], device=labels.device, dtype=torch.float32).view(1, 1, 1, -1)
    counted = area.clamp_min(1.0)
    centre_y = (mask.sum(dim=-1, keepdim=True) * y).sum(dim=-2, keepdim=True) / counted
    centre_x = (mask.sum(dim=-2, keepdim=True) * x).sum(dim=-1, keepdim=True) / counted
    whole = area + (labels == WALL).sum(dim=(-2, -1), keepdim=True)
    alone = _BEYOND_CAVITY[0] * torch.sqrt(area / math.pi) + _BEYOND_CAVITY[1]
    reach = torch.where(whole > area, torch.sqrt(whole / math.pi), alone)
    return y - centre_y, x - centre_x, reach, (area > 0).float()


def _position(shift: Tensor, size: int, *, axis: int) -> Tensor:
    """Return where pixels that come from ``shift`` pixels further along ``axis`` lie, in [-1, 1] from edge to edge."""
    own = torch.arange(size, device=shift.device, dtype=torch.float32)
    own = own.view(-1, 1) if axis == -2 else own
    return (2 * (own + shift) + 1) / size - 1
