"""A whole batch: order, independence of the samples, and what is refused."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from autolv.augmentation import PRESETS, Chance, Parameters, Preset, apply, draw, oversize
from autolv.augmentation import _intensity as intensity


def _batch(n: int, *size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn((n, 1, *size), generator=generator)
    labels = torch.randint(0, 4, (n, *size), generator=generator).to(torch.uint8)
    return images, labels


def _always() -> Preset:
    """Return the default preset with every transform on every sample."""
    default = PRESETS.get("default")
    chances = {
        field.name: dataclasses.replace(getattr(default, field.name), probability=1.0)
        for field in dataclasses.fields(default)
        if isinstance(getattr(default, field.name), Chance)
    }
    return dataclasses.replace(default, **chances)


def test_intensities_follow_in_the_published_order() -> None:
    images, labels = _batch(2, 24, 24)
    drawn = draw(_always(), 2, np.random.default_rng(0), mirror=False)
    still = dataclasses.replace(drawn, angle_rad=np.zeros(2), scale=np.ones(2))
    steps = {
        name: torch.from_numpy(getattr(still, name)).float() for name in ("noise_sd", "blur_sigma_px", "brightness")
    }
    expected = intensity.add_noise(images, steps["noise_sd"], torch.from_numpy(still.noise_seed))
    expected = intensity.blur(expected, steps["blur_sigma_px"])
    expected = intensity.brighten(expected, steps["brightness"])
    expected = intensity.stretch_contrast(expected, torch.from_numpy(still.contrast).float())
    expected = intensity.lower_resolution(expected, torch.from_numpy(still.lowres_factor).float())
    expected = intensity.raise_inverted_to_gamma(expected, torch.from_numpy(still.gamma_inverted).float())
    expected = intensity.raise_to_gamma(expected, torch.from_numpy(still.gamma).float())
    result, unchanged = apply(images, labels, still, (24, 24))
    torch.testing.assert_close(result, expected)
    assert torch.equal(unchanged, labels)


def test_space_comes_before_intensities() -> None:
    images, labels = _batch(3, 40, 40)
    drawn = draw(_always(), 3, np.random.default_rng(1), mirror=True)
    neutral = Parameters.neutral(3)
    spatial = {name: getattr(drawn, name) for name in ("angle_rad", "scale", "flip_y", "flip_x")}
    moved, moved_labels = apply(images, labels, dataclasses.replace(neutral, **spatial), (30, 30))
    still = dataclasses.replace(drawn, **{name: getattr(neutral, name) for name in spatial})
    expected, _ = apply(moved, moved_labels, still, (30, 30))
    result, result_labels = apply(images, labels, drawn, (30, 30))
    torch.testing.assert_close(result, expected)
    assert torch.equal(result_labels, moved_labels)


@pytest.mark.parametrize("patch", [(28, 30), (3, 28, 30)])
def test_a_sample_does_not_depend_on_the_others(patch: tuple[int, ...]) -> None:
    images, labels = _batch(16, *oversize(patch, "default"))
    parameters = draw("default", 16, np.random.default_rng(2), mirror=True)
    together, together_labels = apply(images, labels, parameters, patch)
    for number in range(16):
        row = slice(number, number + 1)
        own = Parameters(
            **{field.name: getattr(parameters, field.name)[row] for field in dataclasses.fields(parameters)}
        )
        alone, alone_labels = apply(images[row], labels[row], own, patch)
        torch.testing.assert_close(alone, together[row], atol=1e-5, rtol=1e-5)
        assert torch.equal(alone_labels, together_labels[row])


@pytest.mark.parametrize("preset", ["none", "default", "nnunet", "upright", "vendor-robust"])
@pytest.mark.parametrize("patch", [(20, 24), (4, 20, 24)])
def test_what_is_given_stays_and_the_result_is_the_same_each_time(preset: str, patch: tuple[int, ...]) -> None:
    images, labels = _batch(8, *oversize(patch, preset))
    parameters = draw(preset, 8, np.random.default_rng(3), mirror=True)
    before, before_labels = images.clone(), labels.clone()
    before_parameters = {f.name: getattr(parameters, f.name).copy() for f in dataclasses.fields(parameters)}
    result, result_labels = apply(images, labels, parameters, patch)
    assert result.shape == (8, 1, *patch) and result_labels.shape == (8, *patch)
    assert result.is_contiguous() and result_labels.is_contiguous()
    again, again_labels = apply(images, labels, parameters, patch)
    assert torch.equal(result, again) and torch.equal(result_labels, again_labels)
    result.fill_(9.0)
    result_labels.fill_(9)
    assert torch.equal(images, before) and torch.equal(labels, before_labels)
    for name, values in before_parameters.items():
        assert np.array_equal(values, getattr(parameters, name)), name


def test_results_are_finite_where_an_image_is_constant() -> None:
    images, labels = torch.zeros(16, 1, 40, 40), torch.zeros(16, 40, 40, dtype=torch.uint8)
    result, _ = apply(images, labels, draw(_always(), 16, np.random.default_rng(4), mirror=True), (32, 32))
    assert torch.isfinite(result).all()


def test_an_empty_batch_gives_an_empty_batch() -> None:
    images, labels = _batch(0, 20, 20)
    result, result_labels = apply(images, labels, draw("default", 0, np.random.default_rng(5), mirror=True), (16, 16))
    assert result.shape == (0, 1, 16, 16) and result_labels.shape == (0, 16, 16)


@pytest.mark.parametrize("preset", ["default", "vendor-robust"])
@pytest.mark.parametrize("patch", [(24, 20), (3, 24, 20)])
def test_nothing_is_read_from_the_device(preset: str, patch: tuple[int, ...]) -> None:
    size = oversize(patch, preset)
    drawn = draw(preset, 40, np.random.default_rng(2), mirror=True)
    active = [(drawn.noise_sd, 0), (drawn.lowres_factor, 1), (drawn.blur_sigma_px[:, 0], 0), (drawn.angle_rad, 0)]
    active += [(drawn.ghost_strength, 0), (drawn.bias_strength, 0)] if preset == "vendor-robust" else []
    assert all((values != neutral).any() for values, neutral in active)
    # a tensor on this device has a shape and no content: whoever asks for its content gets an error
    images = torch.empty((40, 1, *size), device="meta")
    labels = torch.empty((40, *size), dtype=torch.uint8, device="meta")
    moved, moved_labels = apply(images, labels, drawn, patch)
    assert (moved.shape, moved_labels.shape) == ((40, 1, *patch), (40, *patch))


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("patch", [(24, 20), (3, 24, 20)])
def test_the_host_does_not_wait_for_a_gpu_and_the_labels_are_those_of_the_cpu(patch: tuple[int, ...]) -> None:
    images, labels = _batch(40, *oversize(patch, "vendor-robust"))
    drawn = draw("vendor-robust", 40, np.random.default_rng(2), mirror=True)
    expected, expected_labels = apply(images, labels, drawn, patch)
    on_gpu = images.cuda(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        moved, moved_labels = apply(*on_gpu, drawn, patch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (moved_labels.cpu() == expected_labels).float().mean() > 0.9999  # a position is rounded otherwise there
    torch.testing.assert_close(moved.cpu(), expected, atol=1e-3, rtol=1e-3)


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    images, labels = _batch(2, 20, 20)
    two, three = Parameters.neutral(2), Parameters.neutral(3)
    with pytest.raises(ValueError, match="rows of parameters"):
        apply(images, labels, three, (16, 16))
    with pytest.raises(ValueError, match="smaller than the patch"):
        apply(images, labels, two, (16, 24))
    with pytest.raises(ValueError, match="float32"):
        apply(images.double(), labels, two, (16, 16))
    with pytest.raises(ValueError, match="uint8"):
        apply(images, labels.long(), two, (16, 16))
    with pytest.raises(ValueError, match="differ"):
        apply(images[..., :18], labels, two, (16, 16))
    with pytest.raises(ValueError, match="do not fit a patch"):
        apply(images, labels, two, (4, 16, 16))
    volumes, volume_labels = _batch(2, 5, 20, 20)
    with pytest.raises(ValueError, match="slices"):
        apply(volumes, volume_labels, two, (4, 16, 16))


def test_a_real_heart_keeps_its_area_when_it_turns_and_a_fitting_share_when_it_shrinks() -> None:
    folder = os.environ.get("AUTOLV_ACDC")
    if not folder:
        pytest.skip("AUTOLV_ACDC does not name the training folder of ACDC")
    nibabel = pytest.importorskip("nibabel")
    path = sorted(Path(folder).glob("patient001/*_gt.nii*"))[0]
    stack = np.asarray(nibabel.load(path).dataobj).astype(np.uint8).T  # (z, y, x)
    labels = torch.from_numpy(np.ascontiguousarray(stack[stack.shape[0] // 2]))[None]
    image = (labels[:, None] == 3).float()
    patch = (labels.shape[1], labels.shape[2])
    for angle, scale in ((0.5, 1.0), (2.2, 1.0), (0.0, 1.25), (1.0, 0.9)):
        turned = dataclasses.replace(Parameters.neutral(1), angle_rad=np.array([angle]), scale=np.array([scale]))
        _, moved = apply(image, labels, turned, patch)
        for structure in (1, 2, 3):
            before, after = int((labels == structure).sum()), int((moved == structure).sum())
            assert before > 100
            assert abs(after * scale**2 / before - 1) < 0.05, (structure, angle, scale)
