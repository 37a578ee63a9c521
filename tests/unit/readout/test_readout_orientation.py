"""Where the right ventricle meets the left, in which sense anterior follows, and that no mirror fools it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from autolv.core.geometry import Geometry
from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.readout.axis import base_is_first
from autolv.readout.masks import Masks, masks_of
from autolv.readout.orientation import circular_mean_degrees, in_array_mm, insertions, orient, turn_of, world_axes

PIXEL = (1.0, 1.0)
# a heart as it lies in the body: unit vectors in RAS+ from apex to base, from LV to RV, and to the anterior wall
TO_BASE = np.array([0.6, -0.5, 0.5]) / np.linalg.norm([0.6, -0.5, 0.5])
TO_RV = np.array([0.5, 0.75, 0.15]) / np.linalg.norm([0.5, 0.75, 0.15])
TO_ANTERIOR = np.cross(TO_BASE, TO_RV)


def ring_with_rv(from_degrees: float, to_degrees: float, size: int = 96) -> Masks:
    """Return one slice: a cavity of 15 mm, a wall to 23 mm, a right ventricle from 24 to 34 mm between two angles."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius, angle = np.hypot(y, x), np.degrees(np.arctan2(y, x))
    cavity, lv = radius < 15, radius < 23
    beside = (angle - from_degrees) % 360 <= to_degrees - from_degrees
    rv = (radius > 24) & (radius < 34) & beside
    return Masks(cavity=cavity[None], wall=(lv & ~cavity)[None], rv=rv[None])


@pytest.mark.parametrize(("start", "end"), [(-60, 60), (110, 230), (300, 400), (10, 60)])
def test_insertions_by_hand_around_the_circle(start, end) -> None:
    found = insertions(ring_with_rv(start, end), 0, PIXEL)
    assert found is not None
    assert found[1] - found[0] == pytest.approx(end - start, abs=4)
    assert (found[0] - start + 180) % 360 - 180 == pytest.approx(0, abs=3)


def test_contact_without_two_ends_tells_nothing() -> None:
    assert insertions(ring_with_rv(0, 359.9), 0, PIXEL) is None  # all around
    assert insertions(ring_with_rv(0, 5), 0, PIXEL) is None  # a point
    empty = ring_with_rv(0, 90)
    assert insertions(Masks(cavity=empty.cavity, wall=empty.wall, rv=None), 0, PIXEL) is None
    assert insertions(Masks(cavity=empty.cavity, wall=empty.wall, rv=np.zeros_like(empty.rv)), 0, PIXEL) is None


def test_a_gap_in_the_contact_is_bridged() -> None:
    masks = ring_with_rv(-60, 60)
    rv = masks.rv & ~ring_with_rv(-3, 3).rv
    found = insertions(Masks(cavity=masks.cavity, wall=masks.wall, rv=rv), 0, PIXEL)
    assert found is not None
    assert found[1] - found[0] == pytest.approx(120, abs=4)


def test_angles_are_averaged_around_the_circle() -> None:
    assert circular_mean_degrees([350.0, 10.0]) == pytest.approx(0.0, abs=1e-9)
    assert circular_mean_degrees([80.0, 100.0]) == pytest.approx(90.0)


def body_geometry(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Geometry:
    """Return the grid of a file with these axes (i, j, k) in RAS+, 1.5 x 1.5 x 8 mm, 20 x 24 x 6 voxels."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([1.5 * x, 1.5 * y, 8.0 * z], axis=1)
    affine[:3, 3] = (7.0, -11.0, 23.0)
    return Geometry.from_affine(affine, (20, 24, 6))


@pytest.mark.parametrize("flips", list(itertools.product([1, -1], repeat=3)))
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("rotation_degrees", [0, 75, 200])
def test_however_a_file_stores_the_heart_anterior_is_found_by_the_patients_axes(
    flips, swapped, rotation_degrees
) -> None:
    turn = math.radians(rotation_degrees)
    across, down = -TO_RV, -TO_ANTERIOR  # as is the custom: RV to the left, anterior above
    x = math.cos(turn) * across + math.sin(turn) * down
    y = -math.sin(turn) * across + math.cos(turn) * down
    axes = (y, x) if swapped else (x, y)
    geometry = body_geometry(flips[0] * axes[0], flips[1] * axes[1], flips[2] * TO_BASE)
    z_axis, y_axis, x_axis = world_axes(geometry)
    septum = math.degrees(math.atan2(TO_RV @ y_axis, TO_RV @ x_axis)) % 360
    found, rule, flags = turn_of(geometry, septum, base_first=bool(z_axis @ TO_BASE < 0))
    angle = math.radians(septum + found * 90)
    assert (math.cos(angle) * x_axis + math.sin(angle) * y_axis) @ TO_ANTERIOR == pytest.approx(1.0)
    assert "patient axes" in rule
    assert flags == ()


def test_slices_stored_against_their_axes_are_told_and_anterior_stays() -> None:
    geometry = body_geometry(-TO_RV, -TO_ANTERIOR, TO_BASE)
    z_axis, y_axis, x_axis = world_axes(geometry)
    septum = math.degrees(math.atan2(TO_RV @ y_axis, TO_RV @ x_axis)) % 360
    true_order = bool(z_axis @ TO_BASE < 0)
    right, _, _ = turn_of(geometry, septum, base_first=true_order)
    mirrored, _, flags = turn_of(geometry, septum, base_first=not true_order)
    assert mirrored == right
    assert [flag.check for flag in flags] == ["handedness"]


def test_where_the_file_does_not_tell_images_are_taken_as_seen_from_the_apex() -> None:
    plain = Geometry.from_spacing((10.0, 1.5, 1.5), (8, 64, 64))
    assert turn_of(plain, 180.0, base_first=True) == turn_of(plain, 20.0, base_first=False)
    turn, rule, flags = turn_of(plain, 180.0, base_first=True)
    assert turn == 1  # RV to the left (180 degrees), anterior above (270 degrees, y runs down)
    assert "seen from the apex" in rule
    assert flags == ()


@pytest.mark.parametrize("flips", list(itertools.product([1, -1], repeat=3)))
def test_a_place_in_the_body_is_found_in_the_array(flips) -> None:
    geometry = body_geometry(-flips[0] * TO_RV, -flips[1] * TO_ANTERIOR, flips[2] * TO_BASE)
    array = np.zeros(geometry.file_shape)
    array[3, 5, 2] = 1.0
    canonical = np.argwhere(geometry.to_canonical(array))[0] * geometry.spacing_mm
    world = (np.array(geometry.affine) @ [3, 5, 2, 1])[:3]
    assert in_array_mm(geometry, tuple(world)) == pytest.approx(tuple(canonical))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 100, 190, 280])
def test_a_phantoms_insertions_are_found_in_any_rotation_and_from_either_end(degrees, mirrored) -> None:
    spec = PhantomSpec(rv_degrees=degrees, mirrored=mirrored, shape=(12, 176, 176), tilt_degrees=3.0)
    phantom = make_phantom(8, spec, frames=[0])
    masks = masks_of(phantom.labels[0], phantom.truth.structures)
    found = orient(masks, phantom.geometry, base_first=bool(base_is_first(masks)))
    assert found is not None
    orientation, flags = found
    assert orientation.base_first is not mirrored
    assert flags == ()
    for measured, true, tolerance in (
        (orientation.septum_degrees, phantom.truth.rv_direction_degrees, 4),
        (orientation.anterior_insertion_degrees, phantom.truth.anterior_insertion_degrees, 8),
        (orientation.inferior_insertion_degrees, phantom.truth.inferior_insertion_degrees, 8),
    ):
        assert (measured - true + 180) % 360 - 180 == pytest.approx(0, abs=tolerance)


def test_without_a_right_ventricle_there_is_no_orientation() -> None:
    phantom = make_phantom(1, PhantomSpec(structures=("lv_cavity", "lv_myocardium"), shape=(10, 128, 128)), frames=[0])
    masks = masks_of(phantom.labels[0], phantom.truth.structures)
    assert orient(masks, phantom.geometry, base_first=True) is None
