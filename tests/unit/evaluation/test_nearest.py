"""Nearest distances against a distance transform of the whole box, which finds them in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from autolv.evaluation import nearest
from autolv.evaluation.nearest import nearest_mm


def _expected(a, b, spacing_mm):
    to_b, to_a = (ndimage.distance_transform_edt(~mask, sampling=spacing_mm) for mask in (b, a))
    return to_b[a], to_a[b]


@pytest.mark.parametrize("spacing_mm", [(10.0, 1.25, 1.25), (1.0, 1.0, 1.0), (2.0, 3.0, 1.1), (0.7, 1.9, 2.3)])
@pytest.mark.parametrize("share", [0.3, 0.01, 0.0005])
def test_distances_are_those_of_the_transform_in_the_arrays_order(spacing_mm, share):
    rng = np.random.default_rng(round(share * 1e4))
    a, b = (rng.random((7, 40, 30)) < share for _ in range(2))
    a[3, 2, 2] = b[0, 39, 29] = True
    for found, expected in zip(nearest_mm(a, b, spacing_mm), _expected(a, b, spacing_mm), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_two_far_voxels_by_hand():
    a, b = np.zeros((2, 3, 60, 60), dtype=bool)
    a[0, 0, 0], b[2, 30, 40] = True, True  # 20, 60 and 40 mm apart
    for found in nearest_mm(a, b, (10.0, 2.0, 1.0)):
        np.testing.assert_allclose(found, [math.sqrt(20**2 + 60**2 + 40**2)], rtol=1e-15)


@pytest.mark.parametrize("pairs", [nearest._MOST_PAIRS, 0])
def test_slices_infinitely_apart_are_compared_one_by_one(monkeypatch, pairs):
    monkeypatch.setattr(nearest, "_MOST_PAIRS", pairs)  # 0: all that is not near by the transform
    rng = np.random.default_rng(1)
    a, b = (rng.random((4, 50, 50)) < 0.004 for _ in range(2))
    a[:, 1, 1] = b[:, 49, 49] = True
    found = nearest_mm(a, b, (math.inf, 1.5, 1.25))
    slices = [_expected(*pair, (1.5, 1.25)) for pair in zip(a, b, strict=True)]
    for one, expected in zip(found, zip(*slices, strict=True), strict=True):
        np.testing.assert_allclose(one, np.concatenate(expected), rtol=1e-13)


def test_many_far_voxels_take_the_transform_and_get_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    a, b = (rng.random((5, 40, 40)) < 0.003 for _ in range(2))
    compared = nearest_mm(a, b, (8.0, 1.5, 1.5))
    monkeypatch.setattr(nearest, "_MOST_PAIRS", 0)
    for one, other in zip(compared, nearest_mm(a, b, (8.0, 1.5, 1.5)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
