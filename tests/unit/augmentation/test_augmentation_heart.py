"""Hearts that contract or dilate: against the formula, image and labels alike, and nothing beyond its reach."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from autolv.augmentation import Parameters, apply
from autolv.augmentation._heart import CAVITY, squeeze
from autolv.augmentation.presets import PRESETS

CENTRE = (60.0, 55.0)  # y, x
RADIUS, OUTER = 20.0, 27.0  # of the cavity and of the wall, pixels


def discs(radius: float = RADIUS, outer: float = OUTER, slices: int = 1) -> torch.Tensor:
    """Return labels (1, z, 128, 120): a cavity with its wall, and a stripe of another structure at the border."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(120.0), indexing="ij")
    distance = torch.hypot(y - CENTRE[0], x - CENTRE[1])
    labels = torch.zeros(128, 120, dtype=torch.uint8)
    labels[distance < outer] = 2
    labels[distance < radius] = CAVITY
    labels[:, 100:110] = 3
    return labels.expand(1, slices, -1, -1).clone()


def radius_of(labels: torch.Tensor, *codes: int) -> float:
    return math.sqrt(float(torch.isin(labels, torch.tensor(codes, dtype=torch.uint8)).sum()) / math.pi)


def comes_to(distance: float, strength: float, reach: float = OUTER) -> float:
    """Return where what lay at ``distance`` from the centre lies afterwards."""
    return float(brentq(lambda d: d * (1 + strength * max(0.0, 1 - d / reach) ** 2) - distance, 0.0, 200.0))


@pytest.mark.parametrize("strength", [-0.4, 0.5, 2.5])
def test_cavity_and_wall_go_where_the_formula_says(strength: float) -> None:
    labels = discs()
    image = labels.float()
    moved, changed = squeeze(image, labels, torch.tensor([strength]))
    assert radius_of(changed, 1) == pytest.approx(comes_to(RADIUS, strength), abs=0.25)
    assert radius_of(changed, 1, 2) == pytest.approx(OUTER, abs=0.1)
    assert (radius_of(changed, 1) < RADIUS) is (strength > 0)
    # the image moves as its labels do: but for interpolated borders it shows them
    assert float((moved - changed.float()).abs().gt(0.51).float().mean()) < 0.015


def test_without_a_labelled_wall_the_cavitys_size_tells_how_far_it_reaches() -> None:
    labels = discs()
    labels[labels == 2] = 0
    changed = squeeze(labels.float(), labels, torch.tensor([1.0]))[1]
    assert radius_of(changed, 1) == pytest.approx(comes_to(RADIUS, 1.0, 1.4 * RADIUS + 3.0), abs=0.25)


def test_beyond_the_reach_nothing_moves() -> None:
    labels = discs()
    image = torch.randn(labels.shape, generator=torch.Generator().manual_seed(1))
    moved, changed = squeeze(image, labels, torch.tensor([1.5]))
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(120.0), indexing="ij")
    far = torch.hypot(y - CENTRE[0], x - CENTRE[1]) > OUTER + 1
    assert torch.equal(changed[0, 0][far], labels[0, 0][far])
    torch.testing.assert_close(moved[0, 0][far], image[0, 0][far], atol=1e-3, rtol=0)
    assert not torch.equal(changed, labels)


def test_a_slice_without_a_cavity_stays_and_each_slice_has_a_centre_of_its_own() -> None:
    labels = torch.cat([discs(), torch.zeros(1, 1, 128, 120, dtype=torch.uint8), discs().roll(12, dims=-1)], dim=1)
    image = torch.randn(labels.shape, generator=torch.Generator().manual_seed(1))
    moved, changed = squeeze(image, labels, torch.tensor([1.0]))
    torch.testing.assert_close(moved[:, 1], image[:, 1], atol=1e-3, rtol=0)
    assert torch.equal(changed[:, 1], labels[:, 1])
    cavity = [changed[0, z] == CAVITY for z in (0, 2)]
    assert torch.equal(cavity[0].roll(12, dims=-1), cavity[1])


def test_neighbouring_slices_move_as_the_one_whose_labels_are_known() -> None:
    images = torch.randn((1, 3, 128, 120), generator=torch.Generator().manual_seed(1))
    moved, changed = squeeze(images, discs(), torch.tensor([1.0]))
    for z in range(3):
        alone, same = squeeze(images[:, z : z + 1], discs(), torch.tensor([1.0]))
        assert torch.equal(moved[:, z : z + 1], alone) and torch.equal(changed, same)


def test_apply_changes_the_samples_that_are_drawn_alone() -> None:
    labels = discs()[:, 0].expand(3, -1, -1).clone()
    images = labels.float()[:, None].clone()
    drawn = dataclasses.replace(Parameters.neutral(3), squeeze=np.array([0.0, 1.2, -0.3]))
    moved, changed = apply(images, labels, drawn, (128, 120))
    assert torch.equal(changed[0], labels[0]) and torch.equal(moved[0], images[0])
    assert radius_of(changed[1], 1) < radius_of(labels[1], 1) - 2 < radius_of(changed[2], 1)
    assert torch.equal(apply(images[1:2], labels[1:2], drawn.rows(1, 2), (128, 120))[1], changed[1:2])


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (0.0, 3.0)])
def test_strengths_at_which_an_image_folds_are_refused(low: float, high: float) -> None:
    preset = PRESETS.get("vendor-robust")
    with pytest.raises(ValueError, match="squeeze lies between -1 and 3"):
        dataclasses.replace(preset, squeeze=dataclasses.replace(preset.squeeze, low=low, high=high))
