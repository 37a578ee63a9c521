"""nnU-Net's way from a file's array to its network and back, against one written with skimage and scipy directly."""

from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.ops.crop import whole_box
from autolv.preprocessing.nnunet import preprocess_for_nnunet, restore_from_nnunet
from autolv.schema.plan import NnunetConventions, Preprocessing

PLAIN = NnunetConventions(transpose=(0, 1, 2), nonzero_only=False, mirror_axes=())


def block(in_plane=(1.5, 1.25), slices=None):
    return Preprocessing(
        in_plane_spacing_mm=in_plane, slice_spacing_mm=slices, normalisation="zscore", image_order=3, label_order=1,
        crop_to_nonzero=True,
    )  # fmt: skip


def stored(shape=(3, 20, 24), spacing=(8.0, 1.75, 1.4), seed=0):
    """A file's array (k, j, i) in noise with a border of zeros, as a volume on its canonical grid, and that array."""
    rng = np.random.default_rng(seed)
    array = np.zeros(shape, np.float32)
    array[:, 2:-1, 3:] = rng.gamma(2.0, 50.0, (shape[0], shape[1] - 3, shape[2] - 3))
    affine = np.diag([*(-s for s in spacing[:0:-1]), spacing[0], 1.0])  # x and y run backwards: LPS, as ITK writes
    geometry = Geometry.from_affine(affine, shape[::-1])
    return Volume(array=geometry.to_canonical(array.transpose()), geometry=geometry), array


def resampled(array, shape, order, thick):
    """Slice by slice along ``thick``, then the nearest slice; all at once where no axis is thick."""
    if thick is None:
        return resize(array.astype(float), shape, order, mode="edge", anti_aliasing=False)
    slices = np.moveaxis(array, thick, 0).astype(float)
    flat = [n for axis, n in enumerate(shape) if axis != thick]
    planes = np.stack([resize(plane, flat, order, mode="edge", anti_aliasing=False) for plane in slices])
    z = (np.arange(shape[thick]) + 0.5) * len(planes) / shape[thick] - 0.5
    at = np.meshgrid(z, *(np.arange(n) for n in flat), indexing="ij")
    return np.moveaxis(ndimage.map_coordinates(planes, at, order=0, mode="nearest"), 0, thick)


@pytest.mark.parametrize(
    ("spacing", "target", "shape", "thick"),
    [
        ((8.0, 1.75, 1.4), (None, 1.5, 1.25), (3, 20, 24), 0),  # 17 * 1.75 / 1.5 = 19.8; 21 * 1.4 / 1.25 = 23.5
        ((8.0, 1.75, 1.4), (5.0, 1.5, 1.25), (5, 20, 24), 0),  # 3 * 8 / 5 = 4.8
        ((2.0, 1.75, 1.4), (1.5, 1.5, 1.25), (4, 20, 24), None),
        ((2.0, 1.75, 1.4), (6.0, 1.5, 1.25), (1, 20, 24), 0),  # thick in the target alone
    ],
)
def test_forward_is_crop_normalise_resample(spacing, target, shape, thick):
    volume, array = stored(spacing=spacing)
    found, grid = preprocess_for_nnunet(volume, block(target[1:], target[0]), PLAIN)
    part = array[:, 2:-1, 3:]
    expected = resampled((part - part.mean()) / part.std(), shape, 3, thick)
    assert found.shape == grid.shape == shape
    assert grid.box == ((0, 3), (2, 19), (3, 24))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_splines_do_not_overshoot_their_slice():
    volume, array = stored()
    array = np.zeros_like(array) + np.float32(1.0)
    array[:, :, 12:] = np.array([2.0, 4.0, 9.0])[:, None, None]  # an edge, of another height in each slice
    volume = Volume(array=volume.geometry.to_canonical(array.transpose()), geometry=volume.geometry)
    found, _ = preprocess_for_nnunet(volume, block(), PLAIN)
    mean, sd = array.mean(), array.std()
    np.testing.assert_allclose(found.max(axis=(1, 2)) * sd + mean, [2.0, 4.0, 9.0], atol=1e-5)
    np.testing.assert_allclose(found.min(axis=(1, 2)) * sd + mean, [1.0, 1.0, 1.0], atol=1e-5)


def test_over_what_is_not_zero_holes_filled():
    volume, array = stored(spacing=(8.0, 1.5, 1.25))
    array[:, 5:8, 5:8] = 0.0  # a hole in each slice, open at both ends of the stack: outside
    array[1, 10, 10] = 0.0  # enclosed on all sides: filled
    array[:, 2, 3] = 0.0  # a corner: outside
    volume = Volume(array=volume.geometry.to_canonical(array.transpose()), geometry=volume.geometry)
    found, _ = preprocess_for_nnunet(volume, block(), PLAIN.model_copy(update={"nonzero_only": True}))
    part = array[:, 2:-1, 3:]
    inside = part != 0
    inside[1, 8, 7] = True
    assert inside.sum() == part.size - 3 * 9 - 3
    expected = np.where(inside, (part - part[inside].mean()) / part[inside].std(), 0.0)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("slices", [None, 5.0])
def test_back_is_linear_in_plane_and_nearest_across(slices):
    volume, array = stored()
    _, grid = preprocess_for_nnunet(volume, block(slices=slices), PLAIN)
    logits = np.random.default_rng(1).normal(size=(4, *grid.shape)).astype(np.float32)
    inside, box = restore_from_nnunet(logits, whole_box(grid.shape), grid, volume.geometry, PLAIN)
    expected = np.stack([resampled(one, (3, 17, 21), 1, 0) for one in logits])
    expected = expected.astype(np.float16).astype(float)
    odds = np.exp(expected - expected.max(axis=0))
    on_canonical = volume.geometry.to_canonical
    whole = np.zeros((4, *volume.geometry.shape), np.float32)
    whole[0] = 1.0
    z, y, x = (slice(*side) for side in box)
    whole[:, z, y, x] = inside
    in_file = np.zeros((4, *array.shape))
    in_file[0] = 1.0
    in_file[:, :, 2:-1, 3:] = odds / odds.sum(axis=0)
    for one, other in zip(whole, in_file, strict=True):
        np.testing.assert_allclose(
            one, on_canonical(other.transpose()), atol=4e-4
        )  # a step of half precision may be missed
        assert (np.abs(one - on_canonical(other.transpose())) > 1e-5).mean() < 0.01  # but hardly ever is


@pytest.mark.parametrize("transpose", list(permutations(range(3))))
def test_whatever_the_order_of_axes_a_voxel_finds_its_place_again(transpose):
    volume, array = stored(spacing=(2.0, 1.75, 1.4))
    conventions = PLAIN.model_copy(update={"transpose": transpose})
    own = [volume.spacing_mm[volume.geometry.axes.index(2 - axis)] for axis in transpose]
    found, grid = preprocess_for_nnunet(volume, block((own[1], own[2]), own[0]), conventions)
    part = array[:, 2:-1, 3:].transpose(transpose)
    np.testing.assert_allclose(found, (part - part.mean()) / part.std(), atol=2e-5)  # as nnU-Net's network sees it
    logits = np.stack([np.zeros_like(found), found])
    inside, box = restore_from_nnunet(logits, whole_box(grid.shape), grid, volume.geometry, conventions)
    z, y, x = (slice(*side) for side in box)
    again = np.log(inside[1] / inside[0]) * part.std() + part.mean()
    np.testing.assert_allclose(again, volume.array[z, y, x], rtol=1e-3, atol=5e-2)  # in half precision
    assert not np.delete(volume.array, np.s_[y], axis=1).any()
    assert not np.delete(volume.array, np.s_[x], axis=2).any()


@pytest.mark.parametrize(
    ("slices_mm", "target_mm", "count"), [(7.5, 5.0, 9), (0.9, 0.6, 9), (float(np.float32(1.8)), 1.2, 9)]
)
def test_an_oblique_stacks_shape_is_rounded_from_the_spacing_that_its_file_states(slices_mm, target_mm, count):
    rng = np.random.default_rng(5)
    array = rng.normal(100.0, 9.0, (count, 6, 7)).astype(np.float32)
    expected = round(slices_mm / target_mm * count)  # of 13.5 or a double beside it
    lengths = set()
    for _ in range(40):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = turn * (0.4, 0.4, slices_mm)
        geometry = Geometry.from_affine(affine, (7, 6, count))
        lengths.add(geometry.spacing_mm[0])
        volume = Volume(array=geometry.to_canonical(array.transpose()), geometry=geometry)
        _, grid = preprocess_for_nnunet(volume, block((0.4, 0.4), target_mm), PLAIN)
        assert grid.original_spacing_mm == (slices_mm, 0.4, 0.4)
        assert grid.shape == (expected, 6, 7)
    assert len(lengths) > 1  # or there was nothing to round


def test_the_image_is_not_changed_and_a_constant_one_is_refused():
    volume, _ = stored()
    before = volume.array.copy()
    preprocess_for_nnunet(volume, block(), PLAIN)
    np.testing.assert_array_equal(volume.array, before)
    with pytest.raises(DataError, match="constant"):
        preprocess_for_nnunet(Volume(array=np.ones_like(before), geometry=volume.geometry), block(), PLAIN)
