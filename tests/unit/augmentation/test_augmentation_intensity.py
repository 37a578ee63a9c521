"""Each intensity transform against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import interpolate

from autolv.augmentation import _intensity as intensity


def _image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def _row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_noise_has_the_standard_deviation_asked_for() -> None:
    flat = torch.full((2, 1, 256, 256), 7.0)
    noise = intensity.add_noise(flat, torch.tensor([0.1, 0.02]), torch.tensor([5, 6])) - 7
    for sample, sd in zip(noise, (0.1, 0.02), strict=True):
        assert abs(float(sample.std()) / sd - 1) < 4 / math.sqrt(2 * sample.numel())
        assert abs(float(sample.mean())) < 4 * sd / math.sqrt(sample.numel())


def test_noise_follows_from_the_seed_of_its_sample_alone() -> None:
    images, sd = torch.zeros(3, 1, 20, 20), torch.full((3,), 1.0)
    noise = intensity.add_noise(images, sd, torch.tensor([11, 2**62 + 1, 11]))
    alone = intensity.add_noise(images[:1], sd[:1], torch.tensor([2**62 + 1]))
    assert torch.equal(noise[0], noise[2])
    assert torch.equal(noise[1:2], alone)
    assert not torch.equal(noise[0], noise[1])


def test_blur_is_the_gaussian_filter_of_each_slice() -> None:
    images = _image(3, 2, 40, 33)
    sigma = torch.tensor([[0.5, 1.0], [0.8, 0.6], [1.0, 0.0]])
    blurred = intensity.blur(images, sigma)
    for number, sample in enumerate(images.numpy()):
        for z, plane in enumerate(sample):
            expected = gaussian_filter(plane, sigma[number].tolist(), mode="mirror", truncate=4.0)
            np.testing.assert_allclose(blurred[number, z].numpy(), expected, atol=2e-6)


def test_blur_of_a_slice_smaller_than_its_kernel_is_still_the_gaussian_filter() -> None:
    for shape in ((1, 3), (2, 5), (4, 1)):
        image = _image(1, 1, *shape)
        expected = gaussian_filter(image[0, 0].numpy(), [1.0, 0.9], mode="mirror", truncate=4.0)
        np.testing.assert_allclose(intensity.blur(image, torch.tensor([[1.0, 0.9]]))[0, 0].numpy(), expected, atol=1e-6)


def test_brightness_multiplies() -> None:
    images = torch.tensor([[2.0, -1.0], [4.0, 0.0]]).view(2, 1, 1, 2)
    bright = intensity.brighten(images, torch.tensor([0.75, 1.25]))
    assert bright.flatten().tolist() == [1.5, -0.75, 5.0, 0.0]


def test_contrast_stretches_about_the_mean_and_keeps_the_range() -> None:
    images = torch.cat([_row(0, 1, 2, 3, 4)] * 2)
    stretched = intensity.stretch_contrast(images, torch.tensor([1.5, 0.5]))
    # mean 2: distances -2 -1 0 1 2 become -3 -1.5 0 1.5 3, clipped to [0, 4]; and half of them
    torch.testing.assert_close(stretched[0].flatten(), torch.tensor([0.0, 0.5, 2.0, 3.5, 4.0]))
    torch.testing.assert_close(stretched[1].flatten(), torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]))


def test_contrast_and_gamma_take_the_statistics_of_the_whole_volume() -> None:
    volume = torch.tensor([0.0, 2.0, 6.0, 8.0]).view(1, 2, 1, 2)  # slice means 1 and 7, volume mean 4
    stretched = intensity.stretch_contrast(volume, torch.tensor([0.5]))
    torch.testing.assert_close(stretched.flatten(), torch.tensor([2.0, 3.0, 5.0, 6.0]))
    row = intensity.raise_to_gamma(volume.view(1, 1, 1, 4), torch.tensor([1.4]))
    torch.testing.assert_close(intensity.raise_to_gamma(volume, torch.tensor([1.4])).flatten(), row.flatten())


def test_low_resolution_takes_the_nearest_pixels_and_interpolates_between_them() -> None:
    # of 0 1 2 3 a half keeps pixels 1 and 3; between them the bilinear weights are 1/4 and 3/4
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    coarse = intensity.lower_resolution(ramp, torch.tensor([0.5]))
    torch.testing.assert_close(coarse[0, 0], torch.tensor([1.0, 1.5, 2.5, 3.0]).expand(4, 4))


def test_low_resolution_is_the_composition_of_two_resamplings_of_each_slice() -> None:
    images = _image(2, 3, 50, 31)
    coarse = intensity.lower_resolution(images, torch.tensor([0.62, 0.9]))
    for number, small in enumerate(((31, 19), (45, 28))):  # 50 * 0.62 = 31, 31 * 0.62 = 19.2; 45 and 27.9
        for z in range(3):
            plane = images[number : number + 1, z : z + 1]
            down = interpolate(plane, small, mode="nearest-exact")
            expected = interpolate(down, (50, 31), mode="bilinear", align_corners=False)
            torch.testing.assert_close(coarse[number : number + 1, z : z + 1], expected)


@pytest.mark.parametrize("gamma", [0.7, 1.0, 1.5])
def test_gamma_keeps_mean_and_standard_deviation_and_bends_the_rest(gamma: float) -> None:
    images = _image(1, 1, 30, 30) * 3 + 2
    x = images.double()
    curved = ((x - x.min()) / (x.max() - x.min())) ** gamma
    expected = (curved - curved.mean()) / curved.std() * x.std() + x.mean()
    bent = intensity.raise_to_gamma(images, torch.tensor([gamma]))
    torch.testing.assert_close(bent.double(), expected, atol=1e-4, rtol=0)
    assert abs(float(bent.mean() - images.mean())) < 1e-4
    assert abs(float(bent.std() - images.std())) < 1e-4


def test_inverted_gamma_bends_the_distances_from_the_maximum() -> None:
    images = _image(1, 1, 30, 30)
    x = images.double()
    curved = 1 - ((x.max() - x) / (x.max() - x.min())) ** 1.4
    expected = (curved - curved.mean()) / curved.std() * x.std() + x.mean()
    bent = intensity.raise_inverted_to_gamma(images, torch.tensor([1.4]))
    torch.testing.assert_close(bent.double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [0.0, -2.5, 300.0])
def test_constants_stay_constant(level: float) -> None:
    images, factor = torch.full((2, 2, 16, 12), level), torch.tensor([0.7, 1.5])
    for result in (
        intensity.blur(images, torch.tensor([[0.5, 1.0], [1.0, 0.7]])),
        intensity.stretch_contrast(images, factor),
        intensity.lower_resolution(images, torch.tensor([0.5, 0.8])),
        intensity.raise_to_gamma(images, factor),
        intensity.raise_inverted_to_gamma(images, factor),
    ):
        torch.testing.assert_close(result, images, atol=0, rtol=1e-6)
