"""Intensity transforms: each maps some samples (k, z, y, x) and a value per sample to new samples, in-plane only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

_TRUNCATE = 4.0  # a Gaussian kernel ends at this many standard deviations, as in scipy.ndimage
_EPSILON = 1e-7


def add_noise(images: Tensor, sd: Tensor, seed: Tensor) -> Tensor:
    """Add Gaussian noise of standard deviation ``sd`` (k,), each sample's from its own ``seed`` (k,) int64.

    The noise is drawn on the CPU, so that it is the same on every device.
    """
    noise = torch.empty(images.shape, dtype=torch.float32)
    for sample, start in zip(noise, seed.tolist(), strict=True):
        torch.randn(sample.shape, generator=torch.Generator().manual_seed(start), out=sample)
    return images + noise.to(images.device) * _column(sd)


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur each slice by a Gaussian of ``sigma_px`` (k, 2) along y and x, the image mirrored beyond its border."""
    k, z = images.shape[:2]
    radius = int(_TRUNCATE * float(sigma_px.max()) + 0.5)
    kernels = _gaussian(sigma_px, radius).repeat_interleave(z, dim=0)[:, None]  # (k * z, 1, 2, taps)
    planes = _mirror_pad(images, radius).view(1, k * z, images.shape[2] + 2 * radius, images.shape[3] + 2 * radius)
    planes = conv2d(planes, kernels[:, :, 0, :, None], groups=k * z)
    return conv2d(planes, kernels[:, :, 1, None, :], groups=k * z).view_as(images)


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each sample by its ``factor`` (k,)."""
    return images * _column(factor)


def stretch_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from each sample's mean by ``factor`` (k,), clipped to the sample's range before."""
    flat = images.flatten(1)
    mean = flat.mean(dim=1, keepdim=True)
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    stretched = torch.lerp(mean, flat, factor[:, None])
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
    mean, spread = _moments(flat)
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    curved = ((flat - low) / (high - low).clamp_min(_EPSILON)).pow_(gamma[:, None])
    curved_mean, curved_spread = _moments(curved)
    factor = spread / curved_spread.clamp_min(_EPSILON)
    return curved.sub_(curved_mean).mul_(factor).add_(mean).view_as(images)


def raise_inverted_to_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """Do the same to the inverted intensities: gamma above 1 brightens the dark parts less than the bright ones."""
    return -raise_to_gamma(-images, gamma)


def _moments(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of each row and the norm of the distances from it (several times faster than std_mean)."""
    mean = flat.mean(dim=1, keepdim=True)
    return mean, torch.linalg.vector_norm(flat - mean, dim=1, keepdim=True)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _gaussian(sigma_px: Tensor, radius: int) -> Tensor:
    """Return the sampled Gaussians (..., 2 * radius + 1) of ``sigma_px``, each cut at its own width and of sum 1."""
    offset = torch.arange(-radius, radius + 1, device=sigma_px.device)
    sigma = sigma_px[..., None]
    kernel = torch.exp(-0.5 * (offset / sigma.clamp_min(_EPSILON)) ** 2)
    kernel = kernel * (offset.abs() <= torch.floor(_TRUNCATE * sigma + 0.5))
    return kernel / kernel.sum(dim=-1, keepdim=True)


def _mirror_pad(images: Tensor, radius: int) -> Tensor:
    """Mirror each slice about its outermost pixels: ... 2 1 [0 1 2 ...; a slice smaller than the kernel too."""
    for axis in (-2, -1):
        size = images.shape[axis]
        if radius >= size:
            position = torch.arange(-radius, size + radius, device=images.device).remainder(max(1, 2 * (size - 1)))
            images = images.index_select(axis, torch.minimum(position, (2 * (size - 1) - position).abs()))
        else:
            sides = (0, 0, radius, radius) if axis == -2 else (radius, radius, 0, 0)
            images = pad(images, sides, mode="reflect")
    return images
