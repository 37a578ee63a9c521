"""What other scanners and breath-holds do to a stack, on samples (k, z, y, x); like all transforms, never across slices.

Those that are physical on magnitudes act on the distance from the sample's darkest voxel, since a normalised image has
no zero of its own; then the sample gets its mean and spread back, as normalisation would give it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from autolv.augmentation._intensity import EPSILON, column, moments
from autolv.runtime.device import sent

_COIL_KNOTS = 4  # along each in-plane axis: a surface coil's sensitivity changes over half the field of view


def shift_brightness(images: Tensor, shift: Tensor) -> Tensor:
    """Add ``shift`` (k,) to each sample."""
    return images + sent(column(shift), images.device)


def bend_tones(images: Tensor, log_slopes: Tensor) -> Tensor:
    """Map each sample's intensities by a rising broken line whose slopes are as exp of ``log_slopes`` (k, m).

    The m pieces divide the sample's range evenly; slopes that are all alike change nothing.
    """
    flat = images.flatten(1)
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    share = (flat - low) / (high - low).clamp_min(EPSILON)
    rises = sent(torch.softmax(log_slopes, dim=1), images.device)
    segments = rises.shape[1]
    bent = torch.zeros_like(share)
    for segment in range(segments):
        inside = (share * segments - segment).clamp(0.0, 1.0)
        bent.addcmul_(inside, rises[:, segment : segment + 1])
    return _renormalised(bent, flat).view_as(images)


def add_bias_field(images: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Multiply each sample by exp of a smooth in-plane field of standard deviation ``strength`` (k,), from its ``seed``.

    The field is drawn on a coarse grid of the whole slice and interpolated bicubically; all slices share it.
    """
    coarse = torch.stack([_normal((1, _COIL_KNOTS, _COIL_KNOTS), start) for start in seed.tolist()])
    field = interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=True)
    flat_field = field.flatten(1)
    field = (field - column(flat_field.mean(dim=1))) / column(flat_field.std(dim=1).clamp_min(EPSILON))
    factor = sent(torch.exp(column(strength) * field), images.device)
    return _on_magnitudes(images, lambda magnitudes: magnitudes * factor)


def add_rician_noise(images: Tensor, sd: Tensor, seed: Tensor) -> Tensor:
    """Replace magnitudes by those of the signal with complex Gaussian noise of ``sd`` (k,) in either part (Rice 1944)."""
    noise = torch.stack([_normal((2, *images.shape[1:]), start) for start in seed.tolist()])
    noise = sent(noise * sd[:, None, None, None, None], images.device)
    return _on_magnitudes(images, lambda magnitudes: torch.hypot(magnitudes + noise[:, 0], noise[:, 1]))


def add_ghosts(images: Tensor, strength: Tensor, copies: Tensor) -> Tensor:
    """Add ``strength`` (k,) of each slice displaced by 1 / ``copies`` (k,) of its height, half up and half down.

    That is what modulating every ``copies``-th line of k-space does to the image. Negative ``copies`` displace along
    x. The window stands for the field of view, over whose border ghosts fold.
    """

    def displaced(magnitudes: Tensor) -> Tensor:
        result = magnitudes.clone()
        for number, (share, count) in enumerate(zip(strength.tolist(), copies.tolist(), strict=True)):
            axis = -2 if count > 0 else -1
            step = magnitudes.shape[axis] // abs(int(count))
            for sign in (-1, 1):
                result[number].add_(magnitudes[number].roll(sign * step, dims=axis), alpha=share / 2)
        return result

    return _on_magnitudes(images, displaced)


def shift_slices(images: Tensor, labels: Tensor, sd_px: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Displace each slice of image and labels alike by whole pixels of standard deviation ``sd_px`` (k,) along y and x.

    ``labels`` may hold the middle slices only, of image (k, z, y, x). What comes in from beyond the border is 0: the
    mean of a normalised image, and background.
    """
    beside = (images.shape[1] - labels.shape[1]) // 2
    new_images, new_labels = torch.zeros_like(images), torch.zeros_like(labels)
    for number, (sd, start) in enumerate(zip(sd_px.tolist(), seed.tolist(), strict=True)):
        offsets = (_normal((images.shape[1], 2), start) * sd).round().long().tolist()
        for z, (dy, dx) in enumerate(offsets):
            (to_y, from_y), (to_x, from_x) = (_overlap(d, n) for d, n in zip((dy, dx), images.shape[-2:], strict=True))
            new_images[number, z, to_y, to_x] = images[number, z, from_y, from_x]
            if beside <= z < images.shape[1] - beside:
                new_labels[number, z - beside, to_y, to_x] = labels[number, z - beside, from_y, from_x]
    return new_images, new_labels


def _overlap(offset: int, size: int) -> tuple[slice, slice]:
    """Return where an axis that moves by ``offset`` pixels lands, and where that came from."""
    offset = max(-size, min(size, offset))
    return slice(max(0, offset), size + min(0, offset)), slice(max(0, -offset), size - max(0, offset))


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return standard normal numbers from ``seed``, drawn on the CPU, so that they are the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _on_magnitudes(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    flat = images.flatten(1)
    magnitudes = (flat - flat.amin(dim=1, keepdim=True)).view_as(images)
    return _renormalised(change(magnitudes).flatten(1), flat).view_as(images)


def _renormalised(flat: Tensor, like: Tensor) -> Tensor:
    """Return rows with the mean and spread of the rows of ``like``."""
    mean, spread = moments(like)
    own_mean, own_spread = moments(flat)
    return (flat - own_mean) * (spread / own_spread.clamp_min(EPSILON)) + mean
