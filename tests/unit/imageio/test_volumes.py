"""Reading and writing images and labels in every format: shapes, values, errors, atomicity."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.imageio.volumes import (
    ENDINGS,
    data_files,
    read_geometry,
    read_image,
    read_labels,
    split_ending,
    write_image,
    write_labels,
)

# an oblique short-axis grid: in-plane 1.25 mm and 1.5 mm, slices 8 mm apart, RAS
AFFINE = np.array(
    [
        [-1.0, 0.9, -3.84, 40.0],
        [0.6, 1.2, 2.88, -20.0],
        [0.45, 0.0, 6.4, 15.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)  # fmt: skip


def oblique() -> np.ndarray:
    """Return a RAS affine with perpendicular columns of length 1.25, 1.5 and 8 mm."""
    columns, _ = np.linalg.qr(AFFINE[:3, :3])
    affine = np.eye(4)
    affine[:3, :3] = columns * [1.25, 1.5, 8.0]
    affine[:3, 3] = AFFINE[:3, 3]
    return affine


def a_cine(frames: int = 3) -> Volume:
    array = np.random.default_rng(0).normal(100, 20, size=(frames, 4, 6, 5)).astype(np.float32)
    geometry = Geometry.from_affine(oblique(), (5, 6, 4))
    if geometry.shape != (4, 6, 5):
        array = np.ascontiguousarray(array.swapaxes(-1, -2))
    return Volume(array=array, geometry=geometry, frame_time_ms=31.25)


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, oblique() if affine is None else affine), path)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.nii.gz", ("a.b", ".nii.gz")),
        ("A.NII", ("A", ".NII")),
        ("x.mhd", ("x", ".mhd")),
        ("x.gz", ("x.gz", "")),
        ("x.dcm", ("x.dcm", "")),
    ],
)
def test_split_ending(name, expected):
    assert split_ending(name) == expected


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_cine_survives_writing_and_reading(tmp_path, ending):
    cine = a_cine()
    write_image(tmp_path / f"cine{ending}", cine)
    back = read_image(tmp_path / f"cine{ending}")
    np.testing.assert_array_equal(back.array, cine.array)
    assert back.array.dtype == np.float32
    assert back.array.flags.c_contiguous
    assert back.frame_time_ms == pytest.approx(31.25)
    np.testing.assert_allclose(back.geometry.affine, cine.geometry.affine, atol=1e-5)
    assert back.spacing_mm == pytest.approx(cine.spacing_mm, rel=1e-6)
    geometry, frames = read_geometry(tmp_path / f"cine{ending}")
    assert (geometry, frames) == (back.geometry, 3)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("like_ending", ENDINGS)
def test_labels_are_written_on_the_grid_of_another_file_in_any_format(tmp_path, ending, like_ending):
    cine = a_cine()
    like, path = tmp_path / f"like{like_ending}", tmp_path / f"labels{ending}"
    write_image(like, cine)
    labels = np.random.default_rng(1).integers(0, 4, size=cine.array.shape).astype(np.uint8)
    write_labels(path, labels, like=like)
    back = read_labels(path)
    np.testing.assert_array_equal(back.array, labels)
    assert back.array.dtype == np.uint8
    assert back.frame_time_ms == pytest.approx(31.25)
    np.testing.assert_allclose(back.geometry.affine, read_geometry(like)[0].affine, atol=1e-5)
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    write_labels(path, labels, like=like)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == first


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_one_frame_beside_a_cine_makes_a_3d_file(tmp_path, ending):
    cine = a_cine()
    like = tmp_path / f"like{ending}"
    write_image(like, cine)
    write_labels(tmp_path / f"one{ending}", np.ones(cine.geometry.shape), like=like)
    back = read_labels(tmp_path / f"one{ending}")
    assert back.array.shape == cine.geometry.shape
    assert back.geometry == read_geometry(like)[0]
    assert back.array.all()


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 1, 1), (5, 6, 4, 1)])
def test_slices_and_single_frames_keep_the_files_own_shape(tmp_path, shape):
    like = save_nifti(tmp_path / "like.nii.gz", np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    image = read_image(like)
    assert image.array.ndim == 3
    assert image.array.size == np.prod(shape)
    assert image.array.shape[0] == (4 if shape[2:3] == (4,) else 1)
    write_labels(tmp_path / "labels.nii.gz", (image.array > 10).astype(np.uint8), like=like)
    written = nib.load(tmp_path / "labels.nii.gz")
    assert written.shape == shape
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.arange(np.prod(shape)).reshape(shape) > 10)


def test_a_single_slice_is_the_slice_axis_even_where_it_is_thin(tmp_path):
    path = save_nifti(tmp_path / "a.nii", np.zeros((7, 9, 1), np.float32), np.diag([1.4, 1.4, 1.0, 1.0]))
    assert read_image(path).array.shape == (1, 9, 7)


def test_2d_metaimage_is_one_slice(tmp_path):
    image = sitk.GetImageFromArray(np.arange(12, dtype=np.int16).reshape(3, 4))
    image.SetSpacing((1.5, 1.25))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    volume = read_image(tmp_path / "a.mha")
    assert volume.array.shape == (1, 3, 4)
    assert volume.spacing_mm == pytest.approx((1.0, 1.25, 1.5))
    write_labels(tmp_path / "b.mha", np.ones((1, 3, 4)), like=tmp_path / "a.mha")
    assert sitk.ReadImage(str(tmp_path / "b.mha")).GetSize() == (4, 3)


def test_5d_and_colour_images_are_refused(tmp_path):
    five = save_nifti(tmp_path / "five.nii.gz", np.zeros((3, 3, 2, 2, 2), np.float32))
    with pytest.raises(DataError, match=r"five\.nii\.gz.*got 5 dimensions \(3 x 3 x 2 x 2 x 2\)"):
        read_image(five)
    colour = np.zeros((3, 3, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(DataError, match="one real number per voxel"):
        read_image(save_nifti(tmp_path / "colour.nii.gz", colour))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 3, 2), np.float32), isVector=True), str(tmp_path / "v.nrrd"))
    with pytest.raises(DataError, match="2 channels"):
        read_image(tmp_path / "v.nrrd")


def test_integer_image_with_slope_becomes_its_real_values_and_nan_stays(tmp_path):
    image = nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), oblique())
    image.header.set_slope_inter(0.5, 10.0)
    nib.save(image, tmp_path / "a.nii")
    raw = nib.load(tmp_path / "a.nii")
    assert sorted(read_image(tmp_path / "a.nii").array.ravel()) == pytest.approx(sorted(raw.get_fdata().ravel()), abs=1)
    with_nan = np.ones((2, 2, 2), np.float32)
    with_nan[0, 0, 0] = np.nan
    assert np.isnan(read_image(save_nifti(tmp_path / "n.nii", with_nan)).array).sum() == 1


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_truncated_file_is_named_with_the_remedy(tmp_path, ending):
    path = tmp_path / f"cut{ending}"
    write_image(path, a_cine())
    data = path.read_bytes()
    for kept in (0, 3, len(data) // 2, len(data) - 20):
        path.write_bytes(data[:kept])
        with pytest.raises(DataError, match=rf"cut\{ending} cannot be read as an image: .* Replace the file\."):
            read_image(path)


def test_one_flipped_bit_in_a_gzip_is_found(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(path, a_cine())
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # within the checksum
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_text_in_place_of_an_image(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_text("not an image" * 100)
    for read in (read_image, read_labels, read_geometry):
        with pytest.raises(DataError, match="cannot be read as an image"):
            read(path)


def test_missing_file_and_unknown_ending(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path / "none.nii.gz")
    with pytest.raises(DataError, match=r"ends in \.nii\.gz"):
        read_image(tmp_path / "a.dcm")


def test_gzip_without_its_ending_and_the_reverse_are_read(tmp_path):
    cine = a_cine()
    write_image(tmp_path / "a.nii", cine)
    write_image(tmp_path / "b.nii.gz", cine)
    (tmp_path / "a.nii").rename(tmp_path / "c.nii.gz")
    (tmp_path / "b.nii.gz").rename(tmp_path / "d.nii")
    for name in ("c.nii.gz", "d.nii"):
        np.testing.assert_array_equal(read_image(tmp_path / name).array, cine.array)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_integer_labels_of_any_type_are_taken(tmp_path, dtype):
    array = np.zeros((5, 6, 4), dtype=dtype)
    array[1:3] = 3
    labels = read_labels(save_nifti(tmp_path / "a.nii.gz", array))
    assert labels.array.dtype == np.uint8
    assert np.bincount(labels.array.ravel()).tolist() == [72, 0, 0, 48]


def test_scaled_labels_are_taken(tmp_path):
    image = nib.Nifti1Image(np.zeros((5, 6, 4), np.int16), oblique())
    header = image.header.copy()
    header.set_slope_inter(1 / 3000, 0)
    nib.save(nib.Nifti1Image(np.full((5, 6, 4), 2.0), oblique(), header), tmp_path / "a.nii")
    assert (read_labels(tmp_path / "a.nii").array == 2).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.5, r"must be integers, got 2\.5 and the like in 2 voxels"),
        (np.inf, r"must be integers, got inf and the like in 2 voxels"),
        (-1.0, r"between 0 and 255, got -1 and the like in 2 voxels"),
        (600.0, r"between 0 and 255, got 600 and the like in 2 voxels"),
        (np.nan, r"2 label voxels are NaN"),
    ],
)
def test_bad_label_values_are_counted(tmp_path, value, message):
    array = np.zeros((5, 6, 4), np.float32)
    array[0, 0, :2] = value
    with pytest.raises(DataError, match=message):
        read_labels(save_nifti(tmp_path / "a.nii.gz", array))


def test_writing_labels_refuses_what_is_no_label_and_leaves_nothing(tmp_path):
    like = save_nifti(tmp_path / "like.nii.gz", np.zeros((5, 6, 4), np.float32))
    shape = read_geometry(like)[0].shape
    for bad in (np.full(shape, 1.5), np.full(shape, 256), np.full(shape, -1)):
        with pytest.raises(ValueError, match="0 to 255"):
            write_labels(tmp_path / "out.nii.gz", bad, like=like)
    with pytest.raises(ValueError, match="expected"):
        write_labels(tmp_path / "out.nii.gz", np.zeros((4, 5, 7)), like=like)
    with pytest.raises(ValueError, match="2 frames"):
        write_labels(tmp_path / "out.nii.gz", np.zeros((2, *shape)), like=like)
    assert [p.name for p in tmp_path.iterdir()] == ["like.nii.gz"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, ending, monkeypatch):
    path = tmp_path / f"a{ending}"
    write_image(path, a_cine())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_image(path, a_cine(2))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_integer_images_are_rounded_and_overflow_is_refused(tmp_path):
    volume = Volume(array=np.full((2, 3, 4), 7.6), geometry=Geometry.from_spacing((8, 1.5, 1.5), (2, 3, 4)))
    write_image(tmp_path / "a.nii.gz", volume, dtype="int16")
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == np.int16
    assert (read_image(tmp_path / "a.nii.gz").array == 8).all()
    with pytest.raises(ValueError, match="do not fit into uint8"):
        write_image(tmp_path / "b.nii.gz", Volume(array=volume.array + 300, geometry=volume.geometry), dtype="uint8")


def test_a_metaimage_header_counts_with_its_voxel_file(tmp_path):
    write_image(tmp_path / "a.mhd", a_cine())
    assert [p.name for p in data_files(tmp_path / "a.mhd")] == ["a.mhd", "a.zraw"]
    assert data_files(tmp_path / "b.nii.gz") == (tmp_path / "b.nii.gz",)


@pytest.mark.parametrize(
    ("step", "unit", "expected"),
    [
        (0.03125, "sec", 31.25),
        (31.25, "msec", 31.25),
        (31250.0, "usec", 31.25),
        (0.01, "sec", 10.0),
        (0.12, "sec", 120.0),
        (1.0, "sec", None),
        (31.25, "sec", None),
        (0.0, "sec", None),
        (0.03125, "unknown", 31.25),
        (31.25, "unknown", 31.25),
        (1.0, "unknown", None),
    ],
)
def test_the_time_between_frames_is_taken_only_where_plausible(tmp_path, step, unit, expected):
    image = nib.Nifti1Image(np.zeros((5, 6, 4, 3), np.float32), oblique())
    image.header["pixdim"][4] = step
    image.header.set_xyzt_units("mm", unit)
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_image(tmp_path / "a.nii.gz")
    assert volume.array.shape[0] == 3
    assert volume.spacing_mm == pytest.approx((8.0, 1.5, 1.25)) or volume.spacing_mm == pytest.approx((8.0, 1.25, 1.5))
    assert volume.frame_time_ms == (None if expected is None else pytest.approx(expected, rel=1e-5))


def test_a_clean_file_says_nothing(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        write_image(tmp_path / "a.nii.gz", a_cine())
        read_image(tmp_path / "a.nii.gz")
    assert caplog.records == []
