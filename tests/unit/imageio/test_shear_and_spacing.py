"""Axes that lean, and affines that disagree with pixdim: read with a word, volumes from the three zooms, headers kept."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from autolv.core.errors import DataError
from autolv.imageio.volumes import read_geometry, read_image, read_labels, write_image, write_labels

ZOOMS = (1.5, 1.5, 8.0)
SHAPE = (6, 7, 4)


def leaning(shear: float) -> np.ndarray:
    """Return an affine of spacing 1.5 x 1.5 x 8 mm whose second axis leans so that its cosine with the first is ``shear``."""
    affine = np.diag([*ZOOMS, 1.0])
    affine[:3, 1] = 1.5 * np.array([shear, math.sqrt(1 - shear**2), 0.0])
    return affine


def save(path: Path, affine: np.ndarray, zooms: tuple[float, ...] = ZOOMS) -> Path:
    """Write an image whose sform is ``affine`` and whose pixdim is ``zooms``, without qform."""
    image = nib.Nifti1Image(np.arange(math.prod(SHAPE), dtype=np.int16).reshape(SHAPE), affine)
    image.header["qform_code"] = 0
    image.header["pixdim"][1:4] = zooms
    fields = image.header.copy()
    nib.save(image, path)
    data = bytearray(path.read_bytes())
    data[76:108] = fields["pixdim"].astype("<f4").tobytes()  # nibabel sets pixdim from the affine when it saves
    data[252:256] = bytes(4)  # qform and sform codes
    data[254:256] = (1).to_bytes(2, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("shear", "degrees", "larger"), [(0.12, "6.9", "0.7"), (0.2, "11.5", "2.1"), (0.6, "36.9", "25.0")]
)
def test_strong_shear_loads_and_says_what_was_assumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shear: float, degrees: str, larger: str
) -> None:
    path = save(tmp_path / "lean.nii", leaning(shear))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            image = read_image(path)
    assert image.spacing_mm == pytest.approx((8.0, 1.5, 1.5))
    assert image.geometry.voxel_ml == pytest.approx(0.018)  # 1.5 * 1.5 * 8 mm, whatever the lean
    (record,) = caplog.records
    said = record.getMessage()
    assert "lean.nii" in said
    assert f"{degrees} degrees from perpendicular (shear {shear:g})" in said
    assert "rectangular grid of 1.5 x 1.5 x 8 mm" in said
    assert f"volumes are {larger} % larger" in said


def test_labels_on_a_sheared_grid_carry_its_header(tmp_path: Path) -> None:
    like = save(tmp_path / "lean.nii", leaning(0.3))
    image = read_image(like)
    labels = np.zeros(image.array.shape, np.uint8)
    labels[1, 2:5, 1:4] = 3
    write_labels(tmp_path / "out.nii", labels, like=like)
    before, after = nib.load(like).header, nib.load(tmp_path / "out.nii").header
    for field in ("pixdim", "dim", "srow_x", "srow_y", "srow_z", "sform_code", "qform_code", "xyzt_units"):
        assert before[field].tobytes() == after[field].tobytes(), field
    assert read_geometry(tmp_path / "out.nii") == read_geometry(like)
    np.testing.assert_array_equal(read_labels(tmp_path / "out.nii").array, labels)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_sheared_image_is_written_on_its_own_grid(tmp_path: Path, ending: str) -> None:
    image = read_image(save(tmp_path / "lean.nii", leaning(0.3)))
    write_image(tmp_path / f"copy{ending}", image)
    copy = read_image(tmp_path / f"copy{ending}")
    np.testing.assert_allclose(copy.geometry.affine, image.geometry.affine, atol=1e-5)
    np.testing.assert_array_equal(copy.array, image.array)
    write_labels(tmp_path / f"labels{ending}", image.array > 5, like=tmp_path / f"copy{ending}")
    assert read_geometry(tmp_path / f"labels{ending}") == read_geometry(tmp_path / f"copy{ending}")


def test_a_sheared_nrrd_is_read_as_itk_places_it(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros(SHAPE[::-1], np.int16))
    image.SetSpacing(ZOOMS)
    image.SetDirection((1, 0.3, 0, 0, math.sqrt(1 - 0.09), 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    geometry, _ = read_geometry(tmp_path / "a.nrrd")
    assert geometry.spacing_mm == pytest.approx((8.0, 1.5, 1.5))
    lps = image.TransformIndexToPhysicalPoint((3, 2, 1))
    ras = np.array(geometry.affine) @ [3, 2, 1, 1]
    assert ras[:3] == pytest.approx([-lps[0], -lps[1], lps[2]], abs=1e-4)


def test_axes_in_one_plane_are_refused(tmp_path: Path) -> None:
    flat = np.diag([*ZOOMS, 1.0])
    flat[:3, 1] = [1.5, 0.0, 0.0]  # the second axis runs along the first
    with pytest.raises(DataError, match=r"flat\.nii: its three axes lie in one plane") as caught:
        read_image(save(tmp_path / "flat.nii", flat))
    assert caught.value.remedy


def test_an_affine_with_nan_is_refused(tmp_path: Path) -> None:
    broken = leaning(0.0)
    broken[0, 3] = np.nan
    path = save(tmp_path / "nan.nii", np.diag([*ZOOMS, 1.0]))
    data = bytearray(path.read_bytes())
    data[280:296] = np.array(broken[0], "<f4").tobytes()  # srow_x
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"nan\.nii") as caught:
        read_image(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("factor", "told"), [(1.0, False), (1.0009, False), (1.002, True), (1.009, True), (0.991, True)]
)
def test_volumes_come_from_the_zooms_however_little_the_affine_differs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, factor: float, told: bool
) -> None:
    path = save(tmp_path / "a.nii", np.diag([*(np.array(ZOOMS) * factor), 1.0]))
    with caplog.at_level(logging.WARNING):
        geometry, _ = read_geometry(path)
    assert geometry.spacing_mm == pytest.approx((8.0, 1.5, 1.5), rel=1e-7)
    assert geometry.voxel_ml == pytest.approx(0.018, rel=1e-7)  # 2.7 % more by the affine of 1.009
    assert ("pixdim is used" in caplog.text) is told
