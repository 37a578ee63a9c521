"""Preprocessing forward: shapes and spacings by hand, normalisation, the error cases."""

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.ops.crop import whole_box
from autolv.preprocessing.forward import preprocess_image, preprocess_labels
from autolv.schema.plan import Preprocessing


def block(**changes) -> Preprocessing:
    values = {
        "in_plane_spacing_mm": (1.5, 1.5),
        "slice_spacing_mm": None,
        "normalisation": "zscore",
        "image_order": 3,
        "label_order": 1,
        "crop_to_nonzero": True,
    }
    return Preprocessing(**{**values, **changes})


def a_volume(array, spacing_mm=(8.0, 1.2, 1.0)) -> Volume:
    array = np.asarray(array, dtype=np.float32)
    return Volume(array=array, geometry=Geometry.from_spacing(spacing_mm, array.shape[-3:]))


def noise(shape=(4, 30, 40)):
    return np.random.default_rng(0).gamma(3.0, 40.0, size=shape) + 1.0


def test_shape_and_spacing_by_hand():
    image, grid = preprocess_image(a_volume(noise()), block())
    # y: 30 * 1.2 / 1.5 = 24; x: 40 * 1.0 / 1.5 = 26.67 -> 27, so 40 / 27 mm
    assert image.shape == grid.shape == (4, 24, 27)
    assert grid.spacing_mm == pytest.approx((8.0, 1.5, 40 / 27))
    assert grid.original_shape == (4, 30, 40)
    assert grid.original_spacing_mm == (8.0, 1.2, 1.0)
    assert grid.box == ((0, 4), (0, 30), (0, 40))
    assert image.dtype == np.float32


def test_slices_are_kept_unless_their_spacing_is_asked_for():
    volume = a_volume(noise((7, 12, 12)), (5.0, 1.5, 1.5))
    assert preprocess_image(volume, block())[1].shape == (7, 12, 12)
    resampled, grid = preprocess_image(volume, block(slice_spacing_mm=10.0))
    assert grid.shape == (4, 12, 12)  # 3.5 rounds to the even 4
    assert grid.spacing_mm[0] == pytest.approx(8.75)
    assert resampled.shape == (4, 12, 12)


def test_thick_slices_are_repeated_with_their_labels():
    values, labels = noise((3, 12, 12)), np.zeros((3, 12, 12), dtype=np.uint8)
    labels[1, 2:6, 3:9] = 1
    labels[2, 4:8, 4:8] = 2
    image, grid = preprocess_image(a_volume(values, (10.0, 3.0, 3.0)), block(slice_spacing_mm=1.0))
    assert grid.shape == (30, 24, 24)
    assert grid.spacing_mm == (1.0, 1.5, 1.5)
    fine = preprocess_labels(labels, grid, 3)
    for number in range(3):
        own = slice(10 * number, 10 * number + 10)
        np.testing.assert_array_equal(image[own], np.broadcast_to(image[10 * number], (10, 24, 24)))
        np.testing.assert_array_equal(fine[own], np.broadcast_to(fine[10 * number], (10, 24, 24)))
        assert set(np.unique(fine[own])) == {0, number}
    # in-plane each is what it is where slices are left alone
    flat, flat_grid = preprocess_image(a_volume(values, (10.0, 3.0, 3.0)), block())
    np.testing.assert_allclose(image[::10], flat, atol=1e-5)
    np.testing.assert_array_equal(fine[::10], preprocess_labels(labels, flat_grid, 3))


def test_thin_slices_are_interpolated_linearly():
    values = np.broadcast_to(np.array([0.0, 8.0], dtype=np.float32)[:, None, None] + 1, (2, 6, 6))
    image, grid = preprocess_image(a_volume(values, (3.0, 1.5, 1.5)), block(slice_spacing_mm=1.5))
    # two samples to four: weights 1, 3/4, 1/4, 0
    np.testing.assert_allclose((image * grid.sd + grid.mean)[:, 3, 3], [1.0, 3.0, 7.0, 9.0], atol=1e-5)


def test_each_slice_is_resampled_by_itself():
    values = noise()
    volume = a_volume(values)
    image, grid = preprocess_image(volume, block())
    values[2] = 50.0
    other, other_grid = preprocess_image(a_volume(values), block())
    first = image * grid.sd + grid.mean
    second = other * other_grid.sd + other_grid.mean
    np.testing.assert_allclose(first[[0, 1, 3]], second[[0, 1, 3]], atol=1e-3)
    np.testing.assert_allclose(second[2], 50.0, atol=1e-3)


@pytest.mark.parametrize("normalisation", ["zscore", "percentile_zscore"])
def test_normalised_to_mean_zero_and_sd_one(normalisation):
    image, grid = preprocess_image(a_volume(noise()), block(normalisation=normalisation))
    assert image.mean() == pytest.approx(0, abs=1e-5)
    assert image.std() == pytest.approx(1, abs=1e-5)
    assert (grid.clip is None) == (normalisation == "zscore")


def test_central_zscore_is_of_the_160_mm_about_the_centre():
    image, grid = preprocess_image(a_volume(noise((5, 300, 260))), block(normalisation="central_zscore"))
    sides = [round(160 / mm) for mm in grid.spacing_mm[1:]]
    y, x = ((size - side) // 2 for size, side in zip(image.shape[1:], sides, strict=True))
    middle = image[:, y : y + sides[0], x : x + sides[1]]
    assert middle.shape[1] < image.shape[1] and middle.shape[2] < image.shape[2]
    assert middle.mean() == pytest.approx(0, abs=1e-5)
    assert middle.std() == pytest.approx(1, abs=1e-5)
    assert grid.clip is None


def test_intensity_scale_of_the_scanner_does_not_matter():
    first, _ = preprocess_image(a_volume(noise()), block())
    second, _ = preprocess_image(a_volume(noise() * 37.0), block())
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_zero_borders_are_cropped_only_if_asked_for():
    values = np.zeros((5, 30, 40))
    values[1:4, 6:26, 10:40] = noise((3, 20, 30))
    volume = a_volume(values)
    before = volume.array.copy()
    image, grid = preprocess_image(volume, block())
    assert grid.box == ((1, 4), (6, 26), (10, 40))
    assert image.shape == (3, 16, 20)
    assert preprocess_image(volume, block(crop_to_nonzero=False))[1].box == whole_box((5, 30, 40))
    np.testing.assert_array_equal(volume.array, before)


def test_an_orientation_flip_of_the_file_gives_the_same_result():
    values = noise().astype(np.float32)
    geometry = Geometry.from_affine(np.diag([-1.0, 1.2, 8.0, 1.0]), (40, 30, 4))
    flipped = Volume(array=geometry.to_canonical(np.flip(values.transpose(2, 1, 0), 0)), geometry=geometry)
    np.testing.assert_array_equal(preprocess_image(flipped, block())[0], preprocess_image(a_volume(values), block())[0])


@pytest.mark.parametrize("value", [0.0, 17.0])
def test_a_constant_image_is_refused(value):
    with pytest.raises(DataError, match="image is constant"):
        preprocess_image(a_volume(np.full((3, 9, 9), value)), block())


def test_nan_and_infinity_are_refused_and_counted():
    values = noise()
    values[0, 0, :2] = np.nan
    values[1, 1, 1] = np.inf
    with pytest.raises(DataError, match="3 voxels of the image are NaN or infinite"):
        preprocess_image(a_volume(values), block())


def test_a_cine_is_refused():
    with pytest.raises(ValueError, match="one frame"):
        preprocess_image(a_volume(noise((2, 4, 9, 9))), block())


def test_a_constant_crop_becomes_zeros():
    values = np.zeros((3, 9, 9))
    values[1:, 2:6, 3:8] = 5.0
    image, grid = preprocess_image(a_volume(values, (8.0, 1.5, 1.5)), block())
    assert grid.sd == 1.0
    assert not image.any()


def test_labels_follow_the_image():
    labels = np.zeros((4, 30, 40), dtype=np.uint8)
    labels[1:3, 10:20, 10:30] = 1
    values = noise()
    values[labels == 1] += 2000
    image, grid = preprocess_image(a_volume(values), block())
    before = labels.copy()
    small = preprocess_labels(labels, grid, 2)
    assert small.shape == image.shape
    assert small.dtype == np.uint8
    # 10 x 1.2 mm by 20 x 1 mm in two slices of 8 mm = 3840 mm3; the new voxels are 8 x 1.5 x 40/27 mm
    assert small.sum() * 8 * 1.5 * 40 / 27 == pytest.approx(3840, rel=0.06)
    np.testing.assert_array_equal(small == 1, image * grid.sd + grid.mean > 1150)
    np.testing.assert_array_equal(labels, before)


def test_labels_of_another_shape_are_refused():
    _, grid = preprocess_image(a_volume(noise()), block())
    with pytest.raises(DataError, match=r"labels have shape \(3, 30, 40\)"):
        preprocess_labels(np.zeros((3, 30, 40), dtype=np.uint8), grid, 2)
