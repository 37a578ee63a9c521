"""Rotation, scaling, mirroring and the crop to the patch, within slices: one resampling of image and labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from autolv.augmentation._parameters import Parameters
from autolv.augmentation._preset import Preset, find_preset
from autolv.runtime.device import sent

_BOUNDARY = 128  # the bit that marks a pixel whose neighbours differ; a label this large is only slower


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
            for tensor in (new_images, new_labels):
                tensor.index_copy_(0, chosen, tensor.index_select(0, chosen).flip(axes))
    chosen = _indices(resampled, images.device)
    if len(chosen):
        grid = sent(_sampling_grid(parameters, resampled, labels.shape[-2:], patch), images.device)
        # Beyond the input lies 0, the mean of a normalised image, as in the rest of training and in prediction;
        # repeated border pixels would be stripes that no scan shows.
        sources = images.index_select(0, chosen)
        new_images.index_copy_(0, chosen, grid_sample(sources, grid, padding_mode="zeros", align_corners=False))
        new_labels.index_copy_(0, chosen, resample_labels(labels.index_select(0, chosen), grid))
    return new_images, new_labels


def _indices(mask: NDArray[np.bool_], device: torch.device) -> Tensor:
    return sent(torch.from_numpy(np.flatnonzero(mask)), device)


def _sampling_grid(
    parameters: Parameters,
    chosen: NDArray[np.bool_],
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
    y = np.arange(patch[0]) - (patch[0] - 1) / 2
    x = np.arange(patch[1]) - (patch[1] - 1) / 2
    centre = [((extent - part) // 2 + part / 2) / (extent / 2) - 1 for extent, part in zip(size, patch, strict=True)]
    rows = from_y[..., None] * y + np.array([[centre[1]], [centre[0]]])  # (k, 2, y)
    columns = from_x[..., None] * x
    planes = _float(rows)[..., :, None] + _float(columns)[..., None, :]  # (k, 2, y, x): contiguous planes are faster
    return planes.permute(0, 2, 3, 1)


def _float(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def resample_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """Give each position the label with the largest bilinear share (of equal ones the lowest)."""
    padded = pad(labels, (1, 1, 1, 1))  # beyond the input lies background
    if labels.device.type == "cpu":
        return _resample_by_boundary(labels, padded, grid)
    return _resample_everywhere(padded, grid)


def _resample_by_boundary(labels: Tensor, padded: Tensor, grid: Tensor) -> Tensor:
    """Ask the four pixels about a position only next to a boundary: elsewhere they agree, and the nearest is the answer.

    A fraction of the cost of asking them everywhere; but how many positions lie there has to be known.
    """
    flagged = labels | _at_boundary(padded).to(torch.uint8) * _BOUNDARY
    result = grid_sample(flagged.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    result = result.to(torch.uint8)
    sample, depth, row, column = (result >= _BOUNDARY).nonzero(as_tuple=True)
    result[sample, depth, row, column] = _largest_share(padded, sample, depth, grid[sample, row, column])
    return result


def _resample_everywhere(padded: Tensor, grid: Tensor) -> Tensor:
    """Ask the four pixels about every position: the same labels, and the host never waits to learn how many they are."""
    sample = torch.arange(padded.shape[0], device=padded.device).view(-1, 1, 1, 1)
    depth = torch.arange(padded.shape[1], device=padded.device).view(1, -1, 1, 1)
    return _largest_share(padded, sample, depth, grid[:, None])  # (k, z, y, x)


def _largest_share(padded: Tensor, sample: Tensor, depth: Tensor, position: Tensor) -> Tensor:
    """Return the label with the largest bilinear share at ``position`` (..., 2) of the slices ``depth`` of ``sample``.

    Positions are in [-1, 1] from edge to edge of the input, which is ``padded`` (k, z, y + 2, x + 2) without its border
    of background; further out lies more of it.
    """
    height, width = padded.shape[-2:]
    x = (((position[..., 0] + 1) * (width - 2) + 1) / 2).clamp(0, width - 1)  # in pixels of the padded input
    y = (((position[..., 1] + 1) * (height - 2) + 1) / 2).clamp(0, height - 1)
    left, above = x.floor().clamp_max(width - 2), y.floor().clamp_max(height - 2)
    x, y = x - left, y - above
    first = ((sample * padded.shape[1] + depth) * height + above.long()) * width + left.long()
    neighbours = padded.take(torch.stack([first, first + 1, first + width, first + width + 1]))
    weights = torch.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x])
    shares = torch.zeros(neighbours.shape, device=padded.device)  # of each neighbour's label, added in one order
    for weight, other in zip(weights, neighbours, strict=True):
        shares += weight * (neighbours == other)
    return torch.where(shares == shares.amax(dim=0), neighbours, 255).amin(dim=0)


def _at_boundary(padded: Tensor) -> Tensor:
    """Return for each inner pixel of ``padded`` whether one of its four neighbours has another label.

    The diagonal ones do not matter: a position in the pixel is never nearer to them, and they hold at most a quarter.
    """
    across = padded[..., 1:, 1:-1] != padded[..., :-1, 1:-1]
    along = padded[..., 1:-1, 1:] != padded[..., 1:-1, :-1]
    return across[..., 1:, :] | across[..., :-1, :] | along[..., 1:] | along[..., :-1]
