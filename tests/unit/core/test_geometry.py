"""Geometry: every orientation gives the same (z, y, x) array, and the slice axis never moves."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from autolv.core.geometry import Geometry, Volume

ORIENTATIONS = [
    np.array([[axis, sign] for axis, sign in zip(axes, signs, strict=True)], dtype=float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[j, j], matrix[i, j], matrix[j, i] = c, c, -s, s
    return matrix


def affine_of(rotated: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotated @ np.diag(spacing)
    affine[:3, 3] = (-80.0, 12.5, 33.0)
    return affine


def test_there_are_48_orientations() -> None:
    assert len({tuple(map(tuple, o)) for o in ORIENTATIONS}) == 48


@pytest.mark.parametrize(
    "turn",
    [
        np.eye(3),
        rotation(0, 30) @ rotation(1, 25),
        rotation(2, 20) @ rotation(1, 50),
        rotation(0, 47) @ rotation(1, 40),
    ],
    ids=["aligned", "oblique", "oblique-50", "double-oblique"],
)
def test_all_48_orientations_give_one_canonical_array_and_come_back(turn: np.ndarray) -> None:
    stored = np.arange(5 * 4 * 3).reshape(5, 4, 3)  # (i, j, k)
    affine = affine_of(turn, (1.25, 1.5, 8.0))
    expected = Geometry.from_affine(affine, stored.shape).to_canonical(stored)
    for orientation in ORIENTATIONS:
        file_array = apply_orientation(stored, orientation)
        file_affine = affine @ inv_ornt_aff(orientation, stored.shape)  # nibabel: an independent way to turn a file
        geometry = Geometry.from_affine(file_affine, file_array.shape)
        canonical = geometry.to_canonical(file_array)
        np.testing.assert_array_equal(canonical, expected)
        np.testing.assert_array_equal(geometry.to_file(canonical), file_array)
        assert geometry.shape == (3, 4, 5)
        assert geometry.spacing_mm == pytest.approx((8.0, 1.5, 1.25))


def test_an_axis_aligned_ras_file_is_only_transposed() -> None:
    stored = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    canonical = Geometry.from_affine(np.diag([1.25, 1.5, 8.0, 1.0]), stored.shape).to_canonical(stored)
    np.testing.assert_array_equal(canonical, stored.transpose(2, 1, 0))


def test_an_lps_file_is_flipped_in_plane_to_ras() -> None:
    stored = np.arange(2 * 2 * 2).reshape(2, 2, 2)
    canonical = Geometry.from_affine(np.diag([-1.0, -1.0, 8.0, 1.0]), stored.shape).to_canonical(stored)
    np.testing.assert_array_equal(canonical, stored.transpose(2, 1, 0)[:, ::-1, ::-1])


@pytest.mark.parametrize("degrees", [40, 43, 44, 44.9, 45, 45.1, 46, 47, 50])
def test_an_oblique_stack_of_40_to_50_degrees_never_moves_the_slice_axis(degrees: float) -> None:
    for first, second in itertools.product(range(3), repeat=2):
        turn = rotation(first, degrees) @ rotation(second, degrees)
        for orientation in ORIENTATIONS:
            shape = apply_orientation(np.empty((200, 224, 10), dtype=bool), orientation).shape
            affine = affine_of(turn, (1.4, 1.4, 9.6)) @ inv_ornt_aff(orientation, (200, 224, 10))
            geometry = Geometry.from_affine(affine, shape)
            assert geometry.shape[0] == 10
            assert geometry.spacing_mm[0] == pytest.approx(9.6)


def test_neighbouring_obliquities_around_45_degrees_keep_the_in_plane_axes_too() -> None:
    # the stack is tilted about the left-right axis: no in-plane axis may jump while the tilt passes 45 degrees
    axes = {
        Geometry.from_affine(affine_of(rotation(0, degrees), (1.4, 1.4, 9.6)), (200, 224, 10)).axes
        for degrees in np.arange(30, 60, 0.5)
    }
    assert axes == {(2, 1, 0)}


def test_one_slice_is_the_slice_axis_whatever_its_thickness_says() -> None:
    geometry = Geometry.from_affine(np.diag([1.5, 1.5, 1.0, 1.0]), (64, 48, 1))
    assert geometry.axes[0] == 2
    assert geometry.shape == (1, 48, 64)


def test_equal_spacing_takes_the_last_axis() -> None:
    assert Geometry.from_affine(np.eye(4), (7, 8, 9)).axes == (2, 1, 0)


def test_the_volume_of_a_voxel_by_hand() -> None:
    geometry = Geometry.from_spacing((10.0, 1.5, 1.25), (3, 4, 5))
    assert geometry.shape == (3, 4, 5)
    assert geometry.file_shape == (5, 4, 3)
    assert geometry.voxel_ml == pytest.approx(0.01875)  # 10 * 1.5 * 1.25 / 1000


def test_shear_leaves_the_spacing_the_norms_of_the_columns() -> None:
    affine = np.diag([3.0, 2.0, 10.0, 1.0])
    affine[1, 0] = 4.0  # column (3, 4, 0): 5 mm
    assert Geometry.from_affine(affine, (4, 4, 4)).spacing_mm == pytest.approx((10.0, 2.0, 5.0))


def test_a_cine_puts_time_first_and_comes_back() -> None:
    stored = np.arange(5 * 4 * 3 * 2).reshape(5, 4, 3, 2)  # (i, j, k, t)
    geometry = Geometry.from_affine(np.diag([-1.25, 1.5, -8.0, 1.0]), stored.shape[:3])
    cine = geometry.to_canonical(stored)
    assert cine.shape == (2, 3, 4, 5)
    for frame in range(2):
        np.testing.assert_array_equal(cine[frame], geometry.to_canonical(stored[..., frame]))
    np.testing.assert_array_equal(geometry.to_file(cine), stored)


def test_nothing_is_changed_in_place() -> None:
    stored = np.arange(24.0).reshape(2, 3, 4)
    affine = np.diag([-1.0, 1.0, 8.0, 1.0])
    before = stored.copy(), affine.copy()
    geometry = Geometry.from_affine(affine, stored.shape)
    geometry.to_file(geometry.to_canonical(stored))
    np.testing.assert_array_equal(stored, before[0])
    np.testing.assert_array_equal(affine, before[1])


@pytest.mark.parametrize(
    ("affine", "shape"),
    [
        (np.eye(3), (2, 2, 2)),
        (np.full((4, 4), np.nan), (2, 2, 2)),
        (np.diag([1.0, 0.0, 1.0, 1.0]), (2, 2, 2)),
        (np.eye(4), (2, 2)),
    ],
)
def test_what_is_no_geometry_is_refused(affine: np.ndarray, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must|positive"):
        Geometry.from_affine(affine, shape)


def test_arrays_of_another_shape_are_refused_both_ways() -> None:
    geometry = Geometry.from_spacing((8.0, 1.0, 1.0), (3, 4, 5))
    with pytest.raises(ValueError, match=r"\(5, 4, 3\)"):
        geometry.to_canonical(np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match=r"\(3, 4, 5\)"):
        geometry.to_file(np.zeros((5, 4, 3)))


def test_volume_checks_its_array_and_hands_out_frames() -> None:
    geometry = Geometry.from_spacing((8.0, 1.0, 1.0), (3, 4, 5))
    cine = Volume(array=np.arange(120).reshape(2, 3, 4, 5), geometry=geometry)
    assert cine.is_cine
    np.testing.assert_array_equal(cine.frame(1).array, np.arange(60, 120).reshape(3, 4, 5))
    assert not cine.frame(1).is_cine
    with pytest.raises(ValueError, match="frames"):
        cine.frame(0).frame(0)
    with pytest.raises(ValueError, match="array must be"):
        Volume(array=np.zeros((3, 5, 4)), geometry=geometry)


def test_nibabel_agrees_about_the_world() -> None:
    # the voxel at canonical (z, y, x) = (2, 1, 3) is the same point of the world in every orientation
    affine = affine_of(rotation(1, 35), (1.25, 1.5, 8.0))
    shape = (5, 4, 3)
    points = set()
    for orientation in ORIENTATIONS:
        index = np.arange(60).reshape(shape)
        file_array = apply_orientation(index, orientation)
        file_affine = affine @ inv_ornt_aff(orientation, shape)
        value = Geometry.from_affine(file_affine, file_array.shape).to_canonical(file_array)[2, 1, 3]
        position = np.argwhere(file_array == value)[0]
        points.add(tuple(np.round(nib.affines.apply_affine(file_affine, position), 6)))
    assert len(points) == 1
