"""Where definitions coincide, our batch-wise transforms give what batchgeneratorsv2 gives sample by sample."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from autolv.augmentation import PRESETS, Parameters, apply, draw
from autolv.augmentation import _intensity as intensity

pytest.importorskip("batchgeneratorsv2")
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import blur_dimension
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn((1, 48, 40), generator=torch.Generator().manual_seed(2)) * 2 + 1


@pytest.mark.parametrize("gamma", [0.7, 1.3])
@pytest.mark.parametrize("inverted", [False, True])
def test_gamma(image: torch.Tensor, gamma: float, inverted: bool) -> None:
    theirs = GammaTransform(gamma, float(inverted), False, 1, 1)(image=image.clone())["image"]
    ours = (intensity.raise_inverted_to_gamma if inverted else intensity.raise_to_gamma)(
        image[None], torch.tensor([gamma])
    )[0]
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)


@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_contrast_and_brightness(image: torch.Tensor, factor: float) -> None:
    theirs = ContrastTransform(factor, True, False, 1)(image=image.clone())["image"]
    torch.testing.assert_close(intensity.stretch_contrast(image[None], torch.tensor([factor]))[0], theirs)
    theirs = MultiplicativeBrightnessTransform(factor, False, 1)(image=image.clone())["image"]
    torch.testing.assert_close(intensity.brighten(image[None], torch.tensor([factor]))[0], theirs)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_blur_with_kernels_of_equal_length(image: torch.Tensor, sigma: float) -> None:
    theirs = image
    for axis in (0, 1):
        theirs = blur_dimension(
            theirs, sigma, axis, force_use_fft=False, truncate=8
        )  # of the whole, not half the width
    ours = intensity.blur(image[None], torch.tensor([[sigma, sigma]]))[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [0.5, 0.73])
def test_low_resolution(image: torch.Tensor, factor: float) -> None:
    transform = SimulateLowResolutionTransform(factor, False, True, None, None, 1)
    theirs = transform(image=image.clone())["image"]
    torch.testing.assert_close(intensity.lower_resolution(image[None], torch.tensor([factor]))[0], theirs)


@pytest.mark.parametrize(("angle", "scale"), [(0.4, 1.0), (-2.5, 1.0), (0.0, 1.4), (1.9, 0.7)])
def test_rotation_and_scaling(image: torch.Tensor, angle: float, scale: float) -> None:
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(40), indexing="ij")
    radius = torch.hypot(rows - 22.0, columns - 17.0)
    labels = ((radius < 12).to(torch.uint8) + (radius < 7)).to(torch.uint8)
    labels[5:14, 20:38] = 3
    patch = (38, 30)
    transform = SpatialTransform(
        patch,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=1,
        rotation=angle,
        p_scaling=1,
        scaling=scale,
        p_synchronize_scaling_across_axes=1,
    )
    theirs = transform(image=image.clone(), segmentation=labels[None].to(torch.int16))
    parameters = dataclasses.replace(Parameters.neutral(1), angle_rad=np.array([angle]), scale=np.array([scale]))
    moved, moved_labels = apply(image[None], labels[None], parameters, patch)
    torch.testing.assert_close(moved[0], theirs["image"], atol=1e-4, rtol=0)
    differing = (moved_labels != theirs["segmentation"]).float().mean()  # theirs compares shares in half precision
    assert float(differing) < 0.002


@pytest.mark.parametrize(("name", "low", "high"), [("contrast", 0.75, 1.25), ("gamma", 0.7, 1.5)])
def test_factors_are_drawn_from_the_same_distribution(name: str, low: float, high: float) -> None:
    np.random.seed(0)  # noqa: NPY002 - their transforms draw from the global generator
    sampler = BGContrast((low, high))
    theirs = [sampler() for _ in range(4000)]
    ours = getattr(draw(PRESETS.get("nnunet"), 20_000, np.random.default_rng(0), mirror=True), name)
    ours = ours[ours != 1]
    assert ks_2samp(ours, theirs).pvalue > 0.01
    assert math.isclose(np.mean(ours < 1), 0.5, abs_tol=0.03)
