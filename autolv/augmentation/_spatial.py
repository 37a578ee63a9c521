"""Rotation, scaling, mirroring and the crop to the patch, within slices: one resampling of image and labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from autolv.augmentation._parameters import Parameters
from autolv.augmentation._preset import Preset, find_preset


def oversize(patch: tuple[int, ...], preset: str | Preset) -> tuple[int, ...]:
    """Return the size to gather around a ``patch`` (y, x) or (z, y, x) so that rotations and zooms see the image.

    As nnU-Net does (Isensee 2021): the box of the patch turned by the largest angle, a quarter turn at most, over
    ``gather_scale``; 256 x 224 gives 301 x 301. z stays. Without rotation and scaling it is the patch itself.
    """
    if len(patch) not in (2, 3):
        raise ValueError(f"a patch is (y, x) or (z, y, x), got {patch}")
    chosen = find_preset(preset)
    if not chosen.moves:
        return patch
    y, x = patch[-2:]
    turn = chosen.rotation_rad
    angle = min(math.pi / 2, max(abs(turn.low), abs(turn.high))) if turn.probability > 0 else 0.0
    box = (y * math.cos(angle) + x * math.sin(angle), y * math.sin(angle) + x * math.cos(angle))
    return *patch[:-2], *(
        int(max(size, turned) / chosen.gather_scale) for size, turned in zip((y, x), box, strict=True)
    )


def move(images: Tensor, labels: Tensor, parameters: Parameters, patch: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return new tensors (n, z, *patch): each sample turned, scaled and mirrored about the centre of its crop.

    ``images`` float32 and ``labels`` uint8 are (n, z, Y, X), at least as large as ``patch``. Samples that are neither
    turned nor scaled are cropped (and mirrored) without interpolation.
    """
    corner = [(size - part) // 2 for size, part in zip(labels.shape[-2:], patch, strict=True)]
    window = (..., slice(corner[0], corner[0] + patch[0]), slice(corner[1], corner[1] + patch[1]))
    new_images, new_labels = images[window].clone(), labels[window].clone()
    resampled = (parameters.angle_rad != 0) | (parameters.scale != 1)
    for axes, mirrored in (
        ((-2,), parameters.flip_y & ~parameters.flip_x),
        ((-1,), parameters.flip_x & ~parameters.flip_y),
        ((-2, -1), parameters.flip_y & parameters.flip_x),
    ):
        chosen = _indices(mirrored & ~resampled, images.device)
        if len(chosen):
            new_images[chosen] = new_images[chosen].flip(axes)
            new_labels[chosen] = new_labels[chosen].flip(axes)
    chosen = _indices(resampled, images.device)
    if len(chosen):
        grid = _sampling_grid(parameters, resampled, labels.shape[-2:], patch).to(images.device)
        new_images[chosen], new_labels[chosen] = _resample(images[chosen], labels[chosen], grid)
    return new_images, new_labels


def _indices(mask: np.ndarray[tuple[int], np.dtype[np.bool_]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask)).to(device)


def _sampling_grid(
    parameters: Parameters,
    chosen: np.ndarray[tuple[int], np.dtype[np.bool_]],
    size: tuple[int, ...],
    patch: tuple[int, int],
) -> Tensor:
    """Return (k, *patch, 2): where each output pixel lies in the input, x before y, in [-1, 1] from edge to edge."""
    angle, scale = parameters.angle_rad[chosen], parameters.scale[chosen]
    sign_y = np.where(parameters.flip_y[chosen], -1.0, 1.0)
    sign_x = np.where(parameters.flip_x[chosen], -1.0, 1.0)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    half_y, half_x = size[0] / 2, size[1] / 2
    # the mirrored output position, turned and scaled about the centre of the crop: (y, x) -> input (y, x)
    from_y = np.stack([sine * sign_y / half_x, cosine * sign_y / half_y], axis=-1)
    from_x = np.stack([cosine * sign_x / half_x, -sine * sign_x / half_y], axis=-1)
    centre = [((extent - part) // 2 + part / 2) / (extent / 2) - 1 for extent, part in zip(size, patch, strict=True)]
    y = np.arange(patch[0]) - (patch[0] - 1) / 2
    x = np.arange(patch[1]) - (patch[1] - 1) / 2
    rows = y[None, :, None, None] * from_y[:, None, None] + np.array([centre[1], centre[0]])
    columns = x[None, None, :, None] * from_x[:, None, None]
    return torch.from_numpy(rows.astype(np.float32)) + torch.from_numpy(columns.astype(np.float32))


def _resample(images: Tensor, labels: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images bilinearly, and labels by the bilinear share of each class, of which the largest wins.

    Outside the input lies 0 and background, as everywhere else in training and prediction: 0 is the mean of a
    normalised image, and repeated border pixels would be stripes that no scan shows.
    """
    k, z, height, width = labels.shape
    classes = int(labels.max()) + 1
    stack = images.new_empty((k, classes, z, height, width))
    stack[:, 0] = images
    for label in range(1, classes):
        torch.eq(labels, label, out=stack[:, label])
    sampled = grid_sample(
        stack.view(k, classes * z, height, width), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    ).view(k, classes, z, *grid.shape[1:3])
    new_labels = torch.zeros_like(sampled[:, 0], dtype=torch.uint8)
    best = 1 - sampled[:, 1:].sum(dim=1)  # the background's share
    for label in range(1, classes):
        share = sampled[:, label]
        new_labels.masked_fill_(share > best, label)
        best = torch.maximum(best, share)
    return sampled[:, 0], new_labels
