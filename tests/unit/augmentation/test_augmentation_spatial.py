"""Rotation, scaling, mirroring and cropping, against positions worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch.nn.functional import grid_sample

from autolv.augmentation import PRESETS, Chance, Parameters, apply, oversize
from autolv.augmentation._spatial import _resample_by_boundary, _resample_everywhere, resample_labels


def _parameters(n: int, **values: ArrayLike) -> Parameters:
    neutral = Parameters.neutral(n)
    changed = {
        name: np.broadcast_to(np.asarray(value, dtype=getattr(neutral, name).dtype), getattr(neutral, name).shape)
        for name, value in values.items()
    }
    return dataclasses.replace(neutral, **changed)


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _blobs(n: int, *size: int, classes: int = 4, smooth: int = 9) -> torch.Tensor:
    """Return smooth random label maps (n, *size) uint8 that reach the borders."""
    field = _noise(n * classes, 1, *size[-2:])
    for _ in range(3):
        field = torch.nn.functional.avg_pool2d(field, smooth, stride=1, padding=smooth // 2)
    return field.view(n, classes, *size[-2:]).argmax(dim=1).to(torch.uint8)


def _ramps(height: int, width: int, patch: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of y and of x in pixels from the centre of the crop, each (height, width)."""
    y = torch.arange(height) + 0.5 - (height - patch[0]) // 2 - patch[0] / 2
    x = torch.arange(width) + 0.5 - (width - patch[1]) // 2 - patch[1] / 2
    return y[:, None].expand(height, width).clone(), x[None].expand(height, width).clone()


@pytest.mark.parametrize(
    ("size", "patch", "corner"),
    [((20, 20), (14, 14), (3, 3)), ((21, 24), (14, 19), (3, 2)), ((9, 9), (9, 9), (0, 0)), ((10, 7), (1, 2), (4, 2))],
)
def test_neutral_parameters_give_exactly_the_centre(
    size: tuple[int, int], patch: tuple[int, int], corner: tuple[int, int]
) -> None:
    images, labels = _noise(2, 1, *size), _blobs(2, *size, smooth=3)
    rows, columns = slice(corner[0], corner[0] + patch[0]), slice(corner[1], corner[1] + patch[1])
    cropped, cropped_labels = apply(images, labels, Parameters.neutral(2), patch)
    assert torch.equal(cropped, images[..., rows, columns])
    assert torch.equal(cropped_labels, labels[..., rows, columns])
    assert (cropped.dtype, cropped_labels.dtype) == (torch.float32, torch.uint8)


def test_neutral_parameters_crop_every_slice_of_a_volume() -> None:
    images, labels = _noise(2, 1, 5, 12, 10), _blobs(10, 12, 10, smooth=3).view(2, 5, 12, 10)
    cropped, cropped_labels = apply(images, labels, Parameters.neutral(2), (5, 8, 8))
    assert torch.equal(cropped, images[..., 2:10, 1:9])
    assert torch.equal(cropped_labels, labels[..., 2:10, 1:9])


@pytest.mark.parametrize(("angle", "turns"), [(math.pi / 2, -1), (-math.pi / 2, 1), (math.pi, 2), (-math.pi, 2)])
def test_quarter_turns_move_pixels_exactly(angle: float, turns: int) -> None:
    images, labels = _noise(1, 1, 30, 30), _blobs(1, 30, 30, smooth=3)
    turned, turned_labels = apply(images, labels, _parameters(1, angle_rad=angle), (20, 20))
    expected = torch.rot90(images, turns, (-2, -1))[..., 5:25, 5:25]
    torch.testing.assert_close(turned, expected, atol=2e-5, rtol=0)
    assert torch.equal(turned_labels, torch.rot90(labels, turns, (-2, -1))[..., 5:25, 5:25])


def test_scale_two_makes_things_half_as_large() -> None:
    y, x = _ramps(40, 40, (16, 16))
    images = torch.stack([y, x])[:, None]
    labels = torch.zeros(2, 40, 40, dtype=torch.uint8)
    labels[:, 12:28, 12:28] = 1  # 16 x 16 about the centre
    zoomed, zoomed_labels = apply(images, labels, _parameters(2, scale=2.0), (16, 16))
    inner = torch.arange(16) + 0.5 - 8  # -7.5 .. 7.5
    torch.testing.assert_close(zoomed[0, 0], (2 * inner)[:, None].expand(16, 16), atol=1e-4, rtol=0)
    torch.testing.assert_close(zoomed[1, 0], (2 * inner)[None].expand(16, 16), atol=1e-4, rtol=0)
    assert int(zoomed_labels[0].sum()) == 64  # 8 x 8
    assert zoomed_labels[0, 4:12, 4:12].all()


@pytest.mark.parametrize("flip_y", [False, True])
@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize(("size", "patch"), [((50, 50), (21, 21)), ((47, 60), (18, 25))])
def test_turned_scaled_and_mirrored_pixels_come_from_where_the_affine_map_says(
    size: tuple[int, int], patch: tuple[int, int], flip_y: bool, flip_x: bool
) -> None:
    angle, scale = 0.6, 1.2
    y, x = _ramps(*size, patch)
    images, labels = torch.stack([y, x])[:, None], torch.zeros(2, *size, dtype=torch.uint8)
    parameters = _parameters(2, angle_rad=angle, scale=scale, flip_y=flip_y, flip_x=flip_x)
    moved, _ = apply(images, labels, parameters, patch)
    out_y = (torch.arange(patch[0]) + 0.5 - patch[0] / 2)[:, None] * (-1 if flip_y else 1)
    out_x = (torch.arange(patch[1]) + 0.5 - patch[1] / 2)[None] * (-1 if flip_x else 1)
    from_y = scale * (math.cos(angle) * out_y - math.sin(angle) * out_x)
    from_x = scale * (math.sin(angle) * out_y + math.cos(angle) * out_x)
    torch.testing.assert_close(moved[0, 0], from_y, atol=2e-4, rtol=0)
    torch.testing.assert_close(moved[1, 0], from_x, atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    ("flip_y", "flip_x", "axes"), [(True, False, (-2,)), (False, True, (-1,)), (True, True, (-2, -1))]
)
def test_mirroring_alone_moves_pixels_without_interpolation(flip_y: bool, flip_x: bool, axes: tuple[int, ...]) -> None:
    images, labels = _noise(3, 1, 11, 12), _blobs(3, 11, 12, smooth=3)
    parameters = _parameters(3, flip_y=[flip_y, False, flip_y], flip_x=[flip_x, False, flip_x])
    mirrored, mirrored_labels = apply(images, labels, parameters, (7, 8))
    plain, plain_labels = images[..., 2:9, 2:10], labels[..., 2:9, 2:10]
    for sample, expected_axes in enumerate((axes, (), axes)):
        assert torch.equal(mirrored[sample], plain[sample].flip(expected_axes))
        assert torch.equal(mirrored_labels[sample], plain_labels[sample].flip(expected_axes))


def test_beyond_the_image_lie_zero_and_background() -> None:
    images, labels = torch.full((1, 1, 20, 20), 5.0), torch.full((1, 20, 20), 3, dtype=torch.uint8)
    shrunk, shrunk_labels = apply(images, labels, _parameters(1, scale=2.0), (20, 20))
    expected = torch.zeros(20, 20)
    expected[5:15, 5:15] = 5.0  # 20 pixels of the input become 10
    torch.testing.assert_close(shrunk[0, 0], expected, atol=1e-4, rtol=0)
    assert torch.equal(shrunk_labels[0], (expected > 0).to(torch.uint8) * 3)


def test_a_mask_stays_where_its_image_is() -> None:
    labels = (_blobs(6, 80, 80, smooth=13) > 1).to(torch.uint8)
    angles = [0.0, 0.3, -2.0, 3.0, 1.1, 0.0]
    scales = [1.3, 1.0, 0.7, 1.4, 0.9, 1.0]
    parameters = _parameters(6, angle_rad=angles, scale=scales, flip_y=[0, 1, 0, 1, 1, 1], flip_x=[1, 0, 0, 1, 0, 1])
    images, moved_labels = apply(labels[:, None].float(), labels, parameters, (64, 60))
    clear = (images[:, 0] - 0.5).abs() > 1e-4
    assert clear.float().mean() > 0.999
    assert torch.equal(moved_labels[clear], (images[:, 0] > 0.5)[clear].to(torch.uint8))


def test_labels_are_the_class_with_the_largest_bilinear_share() -> None:
    labels = _blobs(8, 60, 54, classes=5, smooth=5)[:, None]  # five labels meet, up to the borders
    angle, scale = torch.linspace(-3, 3, 8), torch.linspace(0.7, 1.4, 8)
    theta = torch.zeros(8, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale * torch.cos(angle)
    theta[:, 0, 1] = scale * torch.sin(angle)
    theta[:, 1, 0] = -scale * torch.sin(angle)
    grid = torch.nn.functional.affine_grid(theta, [8, 1, 50, 50], align_corners=False)
    shares = torch.stack(
        [grid_sample((labels == label).float(), grid, align_corners=False)[:, 0] for label in range(5)], dim=1
    )
    shares[:, 0] += 1 - shares.sum(dim=1)  # outside lies background
    best = shares.topk(2, dim=1)
    clear = best.values[:, 0] - best.values[:, 1] > 1e-4
    assert clear.float().mean() > 0.99
    resampled = resample_labels(labels, grid)[:, 0]
    assert torch.equal(resampled[clear], best.indices[:, 0][clear].to(torch.uint8))
    assert resampled.unique().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [(1, 60, 54), (3, 24, 31)])
@pytest.mark.parametrize("reach", [0.7, 1.5])
def test_labels_are_the_same_whether_every_position_is_asked_or_only_those_next_to_a_boundary(
    size: tuple[int, int, int], reach: float
) -> None:
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 4, (5, *size), generator=generator).to(torch.uint8)  # boundaries everywhere
        labels[:2] = _blobs(2 * size[0], *size[1:], smooth=5).view(2, *size)
        grid = reach * (2 * torch.rand((5, 40, 33, 2), generator=generator) - 1)  # beyond the input too
        padded = torch.nn.functional.pad(labels, (1, 1, 1, 1))
        expected = _resample_by_boundary(labels, padded, grid)
        assert torch.equal(_resample_everywhere(padded, grid), expected)
        assert expected.unique().tolist() == [0, 1, 2, 3]


def test_positions_midway_between_pixels_and_beyond_the_padding_get_the_same_label_either_way() -> None:
    labels = torch.tensor([[1, 2, 2], [3, 1, 2], [3, 3, 1]], dtype=torch.uint8)[None, None]
    steps = torch.arange(-8, 9) / 6  # in [-1, 1] from edge to edge of 3 pixels: half a pixel is a third
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)[None].flip(-1)
    padded = torch.nn.functional.pad(labels, (1, 1, 1, 1))
    assert torch.equal(_resample_everywhere(padded, grid), _resample_by_boundary(labels, padded, grid))


def test_labels_above_127_are_resampled_like_others() -> None:
    labels = _blobs(2, 40, 40, smooth=5)
    high = torch.where(labels > 0, labels + 200, 0).to(torch.uint8)
    images, parameters = _noise(2, 1, 40, 40), _parameters(2, angle_rad=[0.4, 1.0])
    expected = apply(images, labels, parameters, (30, 30))[1]
    assert torch.equal(apply(images, high, parameters, (30, 30))[1], torch.where(expected > 0, expected + 200, 0))


def test_a_background_without_labels_stays_so() -> None:
    labels = torch.zeros(2, 20, 20, dtype=torch.uint8)
    assert not apply(_noise(2, 1, 20, 20), labels, _parameters(2, angle_rad=0.5), (16, 16))[1].any()


def test_a_volume_moves_as_its_slices_do() -> None:
    images, labels = _noise(2, 1, 3, 40, 36), _blobs(6, 40, 36, smooth=5).view(2, 3, 40, 36)
    parameters = _parameters(2, angle_rad=[0.7, 0.0], scale=[1.2, 1.0], flip_y=[True, True], flip_x=[False, True])
    moved, moved_labels = apply(images, labels, parameters, (3, 30, 28))
    for z in range(3):
        flat, flat_labels = apply(images[:, :, z], labels[:, z], parameters, (30, 28))
        torch.testing.assert_close(moved[:, :, z], flat, atol=1e-6, rtol=0)
        assert torch.equal(moved_labels[:, z], flat_labels)


@pytest.mark.parametrize(
    ("patch", "gathered"),
    [
        ((256, 224), (301, 301)),  # nnU-Net's own figures: 256 / 0.85 = 301.2
        ((20, 256, 224), (20, 301, 301)),
        ((144, 144), (169, 169)),
    ],
)
def test_the_gathered_patch_is_as_large_as_published(patch: tuple[int, ...], gathered: tuple[int, ...]) -> None:
    assert oversize(patch, "default") == oversize(patch, "nnunet") == gathered
    assert oversize(patch, "none") == patch


def test_the_gathered_patch_follows_the_angles_that_can_occur() -> None:
    never = Chance(probability=0.0, low=0.0, high=0.0)
    only_scale = dataclasses.replace(PRESETS.get("default"), rotation_rad=never)
    assert oversize((256, 224), only_scale) == (301, 263)
    tilted = Chance(probability=0.2, low=-math.pi / 6, high=math.pi / 6)
    slight = dataclasses.replace(PRESETS.get("default"), rotation_rad=tilted, gather_scale=1.0)
    # 100 cos 30 + 60 sin 30 = 116.6; 100 sin 30 + 60 cos 30 = 101.96
    assert oversize((100, 60), slight) == (116, 101)


def test_a_patch_of_one_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="patch"):
        oversize((10,), "default")
