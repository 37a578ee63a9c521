"""What scanners and breath-holds do: each transform against its definition, worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from autolv.augmentation import Parameters, apply
from autolv.augmentation import _scanner as scanner


def _image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def _assert_same_moments(new: torch.Tensor, old: torch.Tensor) -> None:
    for changed, image in zip(new.double(), old.double(), strict=True):
        assert abs(float(changed.mean() - image.mean())) < 1e-5
        assert abs(float(changed.std() / image.std()) - 1) < 1e-5


def test_brightness_is_added() -> None:
    shifted = scanner.shift_brightness(torch.zeros(2, 1, 1, 2), torch.tensor([0.5, -1.0]))
    assert shifted.flatten(1).tolist() == [[0.5, 0.5], [-1.0, -1.0]]


def test_even_slopes_change_no_tone() -> None:
    images = _image(2, 1, 9, 9)
    bent = scanner.bend_tones(images, torch.full((2, 4), 0.7))
    torch.testing.assert_close(bent, images, atol=1e-5, rtol=0)


def test_tones_follow_the_broken_line() -> None:
    images = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 5)
    # slopes 1 : 1 : 2 : 4 give rises of 1/8, 1/8, 2/8, 4/8: the levels 0, 1, 2, 4, 8 but for scale and offset
    bent = scanner.bend_tones(images, torch.log(torch.tensor([[1.0, 1.0, 2.0, 4.0]]))).flatten()
    expected = torch.tensor([0.0, 1.0, 2.0, 4.0, 8.0])
    expected = (expected - expected.mean()) / expected.std() * images.std() + images.mean()
    torch.testing.assert_close(bent, expected)


def test_tones_keep_their_order() -> None:
    images = _image(3, 2, 12, 12)
    bent = scanner.bend_tones(images, 0.6 * _image(3, 4))
    for before, after in zip(images.flatten(1), bent.flatten(1), strict=True):
        assert (after[before.argsort()].diff() >= -1e-6).all()
    _assert_same_moments(bent, images)


def test_the_coil_field_is_smooth_shared_by_the_slices_and_of_the_strength_asked_for() -> None:
    ramp = torch.linspace(1.0, 2.0, 64)  # magnitudes 0 to 1 and the same image with a voxel at 0
    images = ramp.expand(1, 2, 64, 64).clone()
    strength = torch.tensor([0.3])
    biased = scanner.add_bias_field(images, strength, torch.tensor([4]))
    assert torch.equal(biased[0, 0], biased[0, 1])
    _assert_same_moments(biased, images)
    magnitudes = (images - images.min())[0, 0]
    back = biased[0, 0] - biased[0, 0][:, 0].mean()  # the darkest column stays one value: 0 times the field
    field = torch.log(back[:, 1:] / magnitudes[:, 1:])
    assert abs(float(field.std()) - 0.3) < 0.02  # but for the first column
    assert float(field.diff(dim=0).abs().max()) < 0.3  # smooth: no jump from pixel to pixel


def test_no_strength_is_no_field() -> None:
    images = _image(2, 1, 16, 16)
    unchanged = scanner.add_bias_field(images, torch.zeros(2), torch.tensor([1, 2]))
    torch.testing.assert_close(unchanged, images, atol=1e-5, rtol=0)


def test_rician_noise_lifts_the_dark_and_hardly_the_bright() -> None:
    images = torch.zeros(1, 1, 128, 128)
    images[..., 64:] = 10.0
    noisy = scanner.add_rician_noise(images, torch.tensor([1.0]), torch.tensor([7]))
    _assert_same_moments(noisy, images)
    dark, bright = noisy[..., :64], noisy[..., 64:]
    # Rayleigh: mean sqrt(pi/2) = 1.2533, sd 0.6551; at 10 the mean is about 10 + 1/20, the sd about 1 (Rice 1944)
    assert abs(float(dark.std() / bright.std()) - 0.6551) < 0.02
    contrast = float(bright.mean() - dark.mean()) / float(bright.std())
    assert abs(contrast - (10.05 - 1.2533)) < 0.2


def test_ghosts_stand_at_their_share_of_the_field_of_view() -> None:
    images = torch.zeros(2, 1, 8, 12)
    images[0, 0, 1, 2] = images[1, 0, 1, 2] = 1.0
    ghosted = scanner.add_ghosts(images, torch.tensor([0.4, 0.2]), torch.tensor([4.0, -3.0]))
    _assert_same_moments(ghosted, images)
    first = ghosted[0, 0] - ghosted[0, 0].min()
    assert sorted(map(tuple, first.nonzero().tolist())) == [(1, 2), (3, 2), (7, 2)]  # 8 / 4 = 2 up and down, folded
    assert float(first[3, 2] / first[1, 2]) == pytest.approx(0.2, rel=1e-4)  # half of 0.4
    second = ghosted[1, 0] - ghosted[1, 0].min()
    assert sorted(map(tuple, second.nonzero().tolist())) == [(1, 2), (1, 6), (1, 10)]  # 12 / 3 = 4


def test_slices_move_with_their_labels_by_whole_pixels() -> None:
    images = _image(1, 5, 20, 20)
    labels = (images > 1).to(torch.uint8)
    moved, moved_labels = scanner.shift_slices(images, labels, torch.tensor([2.0]), torch.tensor([9]))
    offsets = set()
    for z in range(5):
        found = [
            (dy, dx)
            for dy in range(-9, 10)
            for dx in range(-9, 10)
            if torch.equal(
                moved[0, z, max(0, dy) : 20 + min(0, dy), max(0, dx) : 20 + min(0, dx)],
                images[0, z, max(0, -dy) : 20 - max(0, dy), max(0, -dx) : 20 - max(0, dx)],
            )
        ]
        assert len(found) == 1
        dy, dx = found[0]
        offsets.add(found[0])
        inside = moved_labels[0, z, max(0, dy) : 20 + min(0, dy), max(0, dx) : 20 + min(0, dx)]
        assert torch.equal(inside, (moved[0, z] > 1).to(torch.uint8)[: 20, : 20][
            max(0, dy) : 20 + min(0, dy), max(0, dx) : 20 + min(0, dx)
        ])  # fmt: skip
        assert int(moved_labels[0, z].sum()) == int(inside.sum())  # nothing but background beyond
    assert len(offsets) > 1  # against one another


def test_a_shift_beyond_the_slice_leaves_it_empty() -> None:
    moved, labels = scanner.shift_slices(
        torch.ones(1, 2, 4, 4), torch.ones(1, 2, 4, 4, dtype=torch.uint8), torch.tensor([1e4]), torch.tensor([1])
    )
    assert not moved.any() and not labels.any()


def test_the_label_of_a_middle_slice_moves_with_it() -> None:
    images = _image(1, 3, 20, 20)
    labels = (images > 1).to(torch.uint8)
    moved, moved_labels = scanner.shift_slices(images, labels, torch.tensor([2.0]), torch.tensor([9]))
    same, middle = scanner.shift_slices(images, labels[:, 1:2], torch.tensor([2.0]), torch.tensor([9]))
    assert torch.equal(same, moved) and torch.equal(middle, moved_labels[:, 1:2])
    assert not torch.equal(middle, labels[:, 1:2])


def test_apply_shifts_stacks_but_not_single_slices() -> None:
    shift = dataclasses.replace(Parameters.neutral(2), slice_shift_px=np.array([0.0, 2.0]))
    images, labels = _image(2, 1, 4, 24, 24), torch.ones(2, 4, 24, 24, dtype=torch.uint8)
    moved, _ = apply(images, labels, shift, (4, 16, 16))
    assert torch.equal(moved[0, 0], images[0, 0, :, 4:20, 4:20])
    assert not torch.equal(moved[1, 0], images[1, 0, :, 4:20, 4:20])
    flat, _ = apply(images[:, :, 0], labels[:, 0], shift, (16, 16))
    assert torch.equal(flat, images[:, :, 0, 4:20, 4:20])


def test_each_sample_depends_on_its_own_seed_alone() -> None:
    images = _image(3, 2, 16, 16)
    strength, seed = torch.full((3,), 0.3), torch.tensor([5, 6, 7])
    for transform in (scanner.add_bias_field, scanner.add_rician_noise):
        together, alone = transform(images, strength, seed), transform(images[1:2], strength[1:2], seed[1:2])
        torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)
