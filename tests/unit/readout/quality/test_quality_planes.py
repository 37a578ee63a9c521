"""The measures in one slice, worked out by hand on anisotropic pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.readout.quality._plane import (
    around,
    border_mm,
    circularity,
    dent_mm,
    distance_mm,
    enclosed,
    perimeter_mm,
    pixels_apart,
)


def mask(*rows: str) -> np.ndarray:
    """Return a mask from rows of ``#`` and ``.``, with two empty pixels around it."""
    return np.pad(np.array([[letter == "#" for letter in row] for row in rows]), 2)


def test_a_hole_may_be_closed_by_a_corner_but_not_by_a_gap() -> None:
    assert enclosed(mask("###", "#.#", "###")).sum() == 1
    assert enclosed(mask(".#.", "#.#", ".#.")).sum() == 1  # no way out over shared edges
    assert enclosed(mask("###", "#..", "###")).sum() == 0
    assert enclosed(mask("#####", "#.#.#", "#####")).sum() == 2
    assert enclosed(mask("...")).sum() == 0


def test_pieces_hang_together_by_corners() -> None:
    assert pixels_apart(mask("##..", "..##")) == 0
    assert pixels_apart(mask("###..", "....#", "#....")) == 2
    assert pixels_apart(mask("....")) == 0


def test_a_border_is_as_long_as_its_pixel_edges() -> None:
    inner, outer = mask("....", ".##.", "...."), mask("####", "#..#", "####")
    # 2 pixels of 2 x 1.5 mm (y, x): above and below 2 edges of 1.5 mm each, left and right one of 2 mm each
    assert border_mm(inner, outer, (2.0, 1.5)) == pytest.approx(4 * 1.5 + 2 * 2.0)
    assert border_mm(inner, mask(*["...."] * 3), (2.0, 1.5)) == 0.0


def test_around_takes_corners_along_and_leaves_its_argument() -> None:
    one = mask("...", ".#.", "...")
    before = one.copy()
    assert around(one).sum() == 9
    np.testing.assert_array_equal(one, before)


def test_the_depth_of_a_notch() -> None:
    square = np.ones((21, 21), dtype=bool)
    square[:11, 7:14] = False  # open above, 11 rows deep, 7 wide
    # the hull's border runs along row 0; row 9 is the lowest of which all neighbours are empty: 9 rows of 2 mm, but only
    # at columns 8 to 12, and no other side of the hull is nearer: the left one is 8 columns of 3 mm away
    assert dent_mm(np.pad(square, 2), (2.0, 3.0)) == pytest.approx(18.0)


@pytest.mark.parametrize("pixel_mm", [(1.0, 1.0), (1.8, 1.4)])
def test_convex_shapes_have_no_dent(pixel_mm) -> None:
    y, x = np.mgrid[-30:31, -30:31].astype(float)
    for radius in (1.5, 4.0, 12.3, 25.0):
        assert dent_mm(np.hypot(1.3 * y, x) <= radius, pixel_mm) == 0.0
    assert dent_mm(np.pad(np.ones((1, 9), dtype=bool), 2), pixel_mm) == 0.0
    assert dent_mm(np.pad(np.eye(9, dtype=bool), 2), pixel_mm) == 0.0  # all on one line
    assert dent_mm(np.zeros((9, 9), dtype=bool), pixel_mm) == 0.0


def test_the_perimeter_cuts_the_corners_of_pixels() -> None:
    # one pixel of 3 x 4 mm: four corners, each cut by half of the diagonal of 5 mm
    assert perimeter_mm(mask("#"), (3.0, 4.0)) == pytest.approx(10.0)
    # two beside each other: the same, and 4 mm more above and below
    assert perimeter_mm(mask("##"), (3.0, 4.0)) == pytest.approx(18.0)
    # two that touch by a corner: at it two corners are cut instead of one each
    assert perimeter_mm(mask("#.", ".#"), (3.0, 4.0)) == pytest.approx(20.0)


def test_roundness_of_a_circle_a_bar_and_nothing() -> None:
    y, x = np.mgrid[-30:31, -30:31].astype(float)
    assert 0.85 < circularity(np.hypot(y, x) <= 20.2, (1.5, 1.5)) < 1.0
    # 2 x 20 pixels of 1 mm: 40 mm², perimeter 2 (1 + 19) + 4 half diagonals
    bar = np.pad(np.ones((2, 20), dtype=bool), 2)
    assert circularity(bar, (1.0, 1.0)) == pytest.approx(4 * math.pi * 40 / (40 + 2 * math.sqrt(2)) ** 2)
    assert math.isnan(circularity(np.zeros((5, 5), dtype=bool), (1.0, 1.0)))


def test_distance_between_nearest_pixels() -> None:
    first, second = mask("##...", ".....", "....."), mask(".....", ".....", "....#")
    assert distance_mm(first, second, (2.0, 1.0)) == pytest.approx(5.0)  # 2 rows of 2 mm, 3 columns of 1 mm
