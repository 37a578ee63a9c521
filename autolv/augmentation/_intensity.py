"""Intensity transforms: each maps some samples (k, z, y, x) and a value per sample to new samples, in-plane only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

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
    along_y = _blur_matrix(sigma_px[:, 0], images.shape[-2])
    along_x = _blur_matrix(sigma_px[:, 1], images.shape[-1])
    return along_y[:, None] @ images @ along_x[:, None].transpose(-1, -2)


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each sample by its ``factor`` (k,)."""
    return images * _column(factor)


def stretch_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from each sample's mean by ``factor`` (k,), clipped to the sample's range before."""
    flat = images.flatten(1)
    mean = flat.mean(dim=1, keepdim=True)
    low, high = flat.aminmax(dim=1, keepdim=True)
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
    sd, mean = torch.std_mean(flat, dim=1, keepdim=True)
    low, high = flat.aminmax(dim=1, keepdim=True)
    curved = ((flat - low) / (high - low).clamp_min(_EPSILON)).pow(gamma[:, None])
    curved_sd, curved_mean = torch.std_mean(curved, dim=1, keepdim=True)
    factor = sd / curved_sd.clamp_min(_EPSILON)
    return torch.addcmul(mean - curved_mean * factor, curved, factor).view_as(images)


def raise_inverted_to_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """Do the same to the inverted intensities: gamma above 1 brightens the dark parts less than the bright ones."""
    return -raise_to_gamma(-images, gamma)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _blur_matrix(sigma_px: Tensor, size: int) -> Tensor:
    """Return (k, size, size): the Gaussian of each ``sigma_px`` (k,) about each pixel, mirrored at the borders."""
    radius = int(_TRUNCATE * float(sigma_px.max()) + 0.5)
    offset = torch.arange(-radius, radius + 1, device=sigma_px.device)
    kernel = torch.exp(-0.5 * (offset / sigma_px[:, None]) ** 2)
    kernel = kernel * (offset.abs() <= torch.floor(_TRUNCATE * sigma_px[:, None] + 0.5))
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    pixel = torch.arange(size, device=sigma_px.device)
    period = max(1, 2 * (size - 1))
    source = (pixel[:, None] + offset[None]).remainder(period)
    source = torch.where(source < size, source, period - source)  # ... 2 1 [0 1 2 ...
    matrix = kernel.new_zeros((len(kernel), size, size))
    return matrix.scatter_add_(2, source.expand(len(kernel), -1, -1), kernel[:, None].expand(-1, size, -1))
