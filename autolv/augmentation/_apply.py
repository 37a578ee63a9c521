"""Drawn parameters applied to a batch: first in space, then to the intensities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autolv.augmentation import _intensity as intensity
from autolv.augmentation import _scanner as scanner
from autolv.augmentation._heart import squeeze
from autolv.augmentation._parameters import Parameters
from autolv.augmentation._spatial import move
from autolv.runtime.device import sent


def apply(images: Tensor, labels: Tensor, parameters: Parameters, patch: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return an augmented batch, cropped to ``patch`` about its centre; what is given is not changed.

    The result depends on its arguments alone, and each sample on its own row of ``parameters`` alone. Nothing is read from
    the device of ``images``, so that the host need not wait for a GPU. What a scanner
    does comes first (tones, coil, ghosts, its noise); then nnU-Net's intensity transforms in their order (Isensee 2021):
    noise, blur, brightness, contrast, low resolution, gamma of the inverted image, gamma; a shift of the brightness
    last. Statistics are those of a whole sample, 2D or 3D.

    Args:
        images: (n, channels, Y, X), the channels being neighbouring slices, or (n, 1, z, Y, X) float32, Y and X at
            least the patch's (see ``oversize``).
        labels: (n, Y, X) or (n, z, Y, X) uint8.
        parameters: one row per sample.
        patch: (y, x) or (z, y, x); z equals the batch's.

    Returns:
        images (n, channels, *patch) float32 and labels (n, *patch) uint8, in memory of their own.

    Raises:
        ValueError: the shapes or types do not fit one another.
    """
    _check(images, labels, parameters, patch)
    n, depth = len(labels), patch[0] if len(patch) == 3 else 1
    in_plane = labels.shape[-2:]
    stacks, stack_labels = images.reshape(n, images.shape[1] * depth, *in_plane), labels.reshape(n, depth, *in_plane)
    if stacks.shape[1] > 1 and (parameters.slice_shift_px != 0).any():
        stacks, stack_labels = _shifted(stacks, stack_labels, parameters)
    if (parameters.squeeze != 0).any():
        stacks, stack_labels = _squeezed(stacks, stack_labels, parameters)
    moved, moved_labels = move(stacks, stack_labels, parameters, (patch[-2], patch[-1]))
    for active, values, transform in _steps(parameters):
        if active.any():
            chosen = sent(torch.from_numpy(np.flatnonzero(active)), moved.device)
            numbers = (_tensor(value[active]) for value in values)
            moved.index_copy_(0, chosen, transform(moved.index_select(0, chosen), *numbers))
    return moved.view(n, images.shape[1], *patch), moved_labels.view(n, *patch)


def _shifted(images: Tensor, labels: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
    active = parameters.slice_shift_px != 0
    chosen = sent(torch.from_numpy(np.flatnonzero(active)), images.device)
    shifted = scanner.shift_slices(
        images.index_select(0, chosen),
        labels.index_select(0, chosen),
        *(_tensor(values[active]) for values in (parameters.slice_shift_px, parameters.scanner_seed)),
    )
    return images.index_copy(0, chosen, shifted[0]), labels.index_copy(0, chosen, shifted[1])


def _squeezed(images: Tensor, labels: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
    active = parameters.squeeze != 0
    chosen = sent(torch.from_numpy(np.flatnonzero(active)), images.device)
    changed = squeeze(
        images.index_select(0, chosen), labels.index_select(0, chosen), _tensor(parameters.squeeze[active])
    )
    return images.index_copy(0, chosen, changed[0]), labels.index_copy(0, chosen, changed[1])


def _steps(
    parameters: Parameters,
) -> tuple[tuple[NDArray[np.bool_], tuple[NDArray[np.generic], ...], Callable[..., Tensor]], ...]:
    """Return each intensity transform with its values and the samples on which it acts, in order."""
    p = parameters
    seed = p.scanner_seed
    return (
        ((p.tone_log_slopes != 0).any(axis=1), (p.tone_log_slopes,), scanner.bend_tones),
        (p.bias_strength != 0, (p.bias_strength, seed), scanner.add_bias_field),
        (p.ghost_strength != 0, (p.ghost_strength, p.ghost_copies), scanner.add_ghosts),
        (p.rician_sd != 0, (p.rician_sd, seed), scanner.add_rician_noise),
        (p.noise_sd != 0, (p.noise_sd, p.noise_seed), intensity.add_noise),
        ((p.blur_sigma_px != 0).any(axis=1), (p.blur_sigma_px,), intensity.blur),
        (p.brightness != 1, (p.brightness,), intensity.brighten),
        (p.contrast != 1, (p.contrast,), intensity.stretch_contrast),
        (p.lowres_factor != 1, (p.lowres_factor,), intensity.lower_resolution),
        (p.gamma_inverted != 1, (p.gamma_inverted,), intensity.raise_inverted_to_gamma),
        (p.gamma != 1, (p.gamma,), intensity.raise_to_gamma),
        (p.brightness_shift != 0, (p.brightness_shift,), scanner.shift_brightness),
    )


def _tensor(values: NDArray[np.generic]) -> Tensor:
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    return torch.from_numpy(values)


def _check(images: Tensor, labels: Tensor, parameters: Parameters, patch: tuple[int, ...]) -> None:
    if images.dtype != torch.float32 or labels.dtype != torch.uint8:
        raise ValueError(f"images are float32 and labels uint8, got {images.dtype} and {labels.dtype}")
    if len(patch) not in (2, 3) or labels.ndim != len(patch) + 1:
        raise ValueError(f"labels of shape {tuple(labels.shape)} do not fit a patch {patch}")
    channels = images.shape[1] if images.ndim == 4 else 1
    if images.shape != (labels.shape[0], channels, *labels.shape[1:]):
        raise ValueError(f"images {tuple(images.shape)} and labels {tuple(labels.shape)} differ")
    if len(parameters) != len(labels):
        raise ValueError(f"{len(parameters)} rows of parameters for {len(labels)} samples")
    if len(patch) == 3 and labels.shape[1] != patch[0]:
        raise ValueError(f"the patch has {patch[0]} slices, the batch {labels.shape[1]}")
    if labels.shape[-2] < patch[-2] or labels.shape[-1] < patch[-1]:
        raise ValueError(f"a batch of {tuple(labels.shape[-2:])} pixels is smaller than the patch {patch}")
