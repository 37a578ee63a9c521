"""One world geometry, 48 ways to store it: the canonical array is always the same, and each file gets its own back."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from autolv.imageio.volumes import read_geometry, read_image, write_labels

WAYS = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


def oblique() -> np.ndarray:
    """Return a double-oblique short-axis affine: columns of 1.4, 1.4 and 8 mm."""
    a, b = np.radians(35.0), np.radians(25.0)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = (about_z @ about_x) * [1.4, 1.4, 8.0]
    affine[:3, 3] = [5.0, -60.0, 33.0]
    return affine


def stored_as(array, affine, order, flips):
    """Return the same world image with permuted and flipped storage axes."""
    matrix = np.eye(4)
    for new, old in enumerate(order):
        matrix[:3, new] = 0
        matrix[old, new] = -1 if flips[new] else 1
        if flips[new]:
            matrix[old, 3] += array.shape[old] - 1
    moved = array.transpose(order)
    return np.flip(moved, axis=[i for i in range(3) if flips[i]]), affine @ matrix


@pytest.mark.parametrize("ending", [".nii", ".nrrd"])
def test_48_ways_to_store_give_one_array(tmp_path, ending):
    array = np.random.default_rng(0).normal(size=(7, 6, 4)).astype(np.float32)
    reference = None
    for number, (order, flips) in enumerate(WAYS):
        moved, affine = stored_as(array, oblique(), order, flips)
        path = tmp_path / f"{number}{ending}"
        if ending == ".nii":
            nib.save(nib.Nifti1Image(moved, affine), path)
        else:
            save_nrrd(path, moved, affine)
        volume = read_image(path)
        reference = volume.array if reference is None else reference
        assert reference.shape[0] == 4
        np.testing.assert_array_equal(volume.array, reference)
        assert volume.spacing_mm == pytest.approx((8.0, 1.4, 1.4))
        out = tmp_path / f"{number}_labels{ending}"
        write_labels(out, (volume.array > 0.5).astype(np.uint8), like=path)
        assert read_geometry(out) == read_geometry(path)
        np.testing.assert_array_equal(in_file_order(out), moved > 0.5)


def test_the_two_formats_agree(tmp_path):
    array = np.random.default_rng(0).normal(size=(7, 6, 4)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, oblique()), tmp_path / "a.nii")
    save_nrrd(tmp_path / "a.nrrd", array, oblique())
    # SimpleITK's own NIfTI reader is the independent witness of LPS and RAS
    witness = sitk.ReadImage(str(tmp_path / "a.nii"))
    ours = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert ours.TransformIndexToPhysicalPoint((3, 2, 1)) == pytest.approx(
        witness.TransformIndexToPhysicalPoint((3, 2, 1)), abs=1e-4
    )
    first, second = read_image(tmp_path / "a.nii"), read_image(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(first.array, second.array)
    np.testing.assert_allclose(first.geometry.affine, second.geometry.affine, atol=1e-5)


@pytest.mark.parametrize("degrees", range(0, 91, 5))
def test_turning_the_stack_never_moves_the_slice_axis(tmp_path, degrees):
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]) * [
        1.4,
        1.4,
        8.0,
    ]
    nib.save(nib.Nifti1Image(np.zeros((7, 6, 4), np.float32), affine), tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").array.shape[0] == 4


def save_nrrd(path, array, affine):
    lps = np.diag([-1.0, -1, 1])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((lps @ affine[:3, 3]).tolist())
    sitk.WriteImage(image, str(path))


def in_file_order(path):
    if path.suffix == ".nii":
        return np.asarray(nib.load(path).dataobj)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose()
