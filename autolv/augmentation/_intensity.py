"""Intensity transforms: each maps some samples (k, z, y, x) and a value per sample to new samples, in-plane only.

The values lie on the CPU wherever the samples do: what has to be known of them is known without asking a device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from autolv.runtime.device import sent

_TRUNCATE = 4.0  # a Gaussian kernel ends at this many standard deviations, as in scipy.ndimage
EPSILON = 1e-7


def add_noise(images: Tensor, sd: Tensor, seed: Tensor) -> Tensor:
    """Add Gaussian noise of standard deviation ``sd`` (k,), each sample's from its own ``seed`` (k,) int64.

    The noise is drawn on the CPU, so that it is the same on every device.
    """
    noise = torch.empty(images.shape, dtype=torch.float32)
    for sample, start in zip(noise, seed.tolist(), strict=True):
        torch.randn(sample.shape, generator=torch.Generator().manual_seed(start), out=sample)
    return images + sent(noise * column(sd), images.device)


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur each slice by a Gaussian of ``sigma_px`` (k, 2) along y and x, the image mirrored beyond its border."""
    radius = int(_TRUNCATE * float(sigma_px.max()) + 0.5)
    for axis, sigma in ((-2, sigma_px[:, 0]), (-1, sigma_px[:, 1])):
        images = _weigh_neighbours(images, sent(_half_gaussian(sigma, radius), images.device), axis)
    return images


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each sample by its ``factor`` (k,)."""
    return images * sent(column(factor), images.device)


def stretch_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from each sample's mean by ``factor`` (k,), clipped to the sample's range before."""
    flat = images.flatten(1)
    mean = flat.mean(dim=1, keepdim=True)
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    stretched = torch.lerp(mean, flat, sent(factor[:, None], flat.device))
    return torch.clamp(stretched, low, high).view_as(images)


def lower_resolution(images: Tensor, factor: Tensor) -> Tensor:
    """Shrink each slice by ``factor`` (k,), taking the nearest pixels, and enlarge it again bilinearly."""
    size = images.shape[-2:]
    result = torch.empty_like(images)
    for number, share in enumerate(factor.tolist()):
        small = tuple(max(1, round(extent * share)) for extent in size)
        reduced = interpolate(images[number : number + 1], small, mode="nearest-exact")
        result[number : number + 1] = interpolate(reduced, size, mode="bilinear", align_corners=False)
    return result


def raise_to_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """Raise each sample, scaled to [0, 1], to the power of its ``gamma`` (k,); its mean and sd stay as they were."""
    flat = images.flatten(1)
    mean, spread = moments(flat)
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    curved = ((flat - low) / (high - low).clamp_min(EPSILON)).pow_(sent(gamma[:, None], flat.device))
    curved_mean, curved_spread = moments(curved)
    factor = spread / curved_spread.clamp_min(EPSILON)
    return curved.sub_(curved_mean).mul_(factor).add_(mean).view_as(images)


def raise_inverted_to_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """Do the same to the inverted intensities: gamma above 1 brightens the dark parts less than the bright ones."""
    return -raise_to_gamma(-images, gamma)


def moments(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of each row and the norm of the distances from it (several times faster than std_mean)."""
    mean = flat.mean(dim=1, keepdim=True)
    return mean, torch.linalg.vector_norm(flat - mean, dim=1, keepdim=True)


def column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _half_gaussian(sigma_px: Tensor, radius: int) -> Tensor:
    """Return (k, radius + 1): the sampled Gaussian at 0, 1, ... pixels, cut at its own width; both sides sum to 1."""
    distance = torch.arange(radius + 1, device=sigma_px.device)
    sigma = sigma_px[:, None]
    half = torch.exp(-0.5 * (distance / sigma.clamp_min(EPSILON)) ** 2)
    half = half * (distance <= torch.floor(_TRUNCATE * sigma + 0.5))
    return half / (2 * half.sum(dim=1, keepdim=True) - half[:, :1])


def _weigh_neighbours(images: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Return sum of ``weights`` (k, radius + 1) times the pixels that far away on both sides, along ``axis``.

    Sums of shifted images: several times faster on a CPU than a grouped convolution.
    """
    size, radius = images.shape[axis], weights.shape[1] - 1
    padded = _mirror_pad(images, radius, axis)
    result = images * column(weights[:, 0])
    for distance in range(1, radius + 1):
        sides = padded.narrow(axis, radius - distance, size) + padded.narrow(axis, radius + distance, size)
        result.addcmul_(sides, column(weights[:, distance]))
    return result


def _mirror_pad(images: Tensor, radius: int, axis: int) -> Tensor:
    """Mirror along ``axis`` about the outermost pixels: ... 2 1 [0 1 2 ...; also where the image is smaller."""
    last = images.shape[axis] - 1
    position = torch.arange(-radius, last + radius + 1, device=images.device).remainder(max(1, 2 * last))
    return images.index_select(axis, torch.minimum(position, (2 * last - position).abs()))
