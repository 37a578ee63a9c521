"""The zoo of NIfTI headers: every variant is read on the right grid, and label files carry it on bit for bit."""

import gzip
import io
import logging
import math
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.imageio.volumes import read_geometry, read_image, read_labels, write_labels

SPACING = (1.25, 1.5, 8.0)
SHAPE = (6, 7, 4)


def rotated(spacing=SPACING, degrees: float = 20.0) -> np.ndarray:
    """Return an affine turned about the slice axis, with its origin off the centre."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * spacing
    affine[:3, 3] = [-30.0, 12.5, 40.0]
    return affine


def sheared(amount: float) -> np.ndarray:
    """Return an axis-aligned affine whose second column leans towards the first by ``amount``."""
    affine = np.diag([*SPACING, 1.0])
    affine[0, 1] = amount * SPACING[1]
    return affine


def both(header):
    header.set_sform(rotated(), 1)
    header.set_qform(rotated(), 1)


def sform_only(header):
    header.set_sform(rotated(), 2)
    header["qform_code"] = 0


def qform_only(header):
    header.set_qform(rotated(), 1)
    header["sform_code"] = 0


def disagreeing(header):
    header.set_sform(rotated(), 2)
    header.set_qform(rotated(degrees=50), 1)


def negative_pixdim(header):
    both(header)
    header["pixdim"][1:4] *= -1


def left_handed(header):
    affine = rotated() @ np.diag([-1.0, 1, 1, 1])
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)


def slightly_sheared(header):
    header.set_sform(sheared(1e-2), 1)
    header["qform_code"] = 0


def no_codes(header):
    header["sform_code"] = header["qform_code"] = 0


def unit_sform(header):
    header.set_sform(rotated((1.0, 1.0, 1.0)), 2)
    header["qform_code"] = 0


def odd_units(header):
    both(header)
    header.set_xyzt_units("unknown", "msec")
    header["toffset"] = 3.5


def a_description(header):
    both(header)
    header["descrip"] = b"short axis"


def a_slope(header):
    both(header)
    header["scl_slope"], header["scl_inter"] = 2.0, 5.0


VARIANTS = [both, sform_only, qform_only, disagreeing, negative_pixdim, left_handed, slightly_sheared, no_codes,
            unit_sform, odd_units, a_description, a_slope]  # fmt: skip
KEPT = ("pixdim", "xyzt_units", "toffset", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
        "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "descrip")  # fmt: skip


def write_raw(path, change: Callable, shape=SHAPE, kind=nib.Nifti1Header, endianness="<"):
    """Write an int16 image by hand, so that nothing repairs the header on the way."""
    header = kind(endianness=endianness)
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["pixdim"][1:4] = SPACING
    header.set_xyzt_units("mm", "sec")
    change(header)
    header["vox_offset"] = header.structarr.dtype.itemsize + 4
    header["magic"] = b"n+1" if kind is nib.Nifti1Header else b"n+2\x00\r\n\x1a\n"
    values = np.arange(math.prod(shape)).reshape(shape).astype(header.get_data_dtype())
    data = header.binaryblock + bytes(4) + values.tobytes(order="F")
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def raw_fields(path, kind=nib.Nifti1Header):
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return kind.from_fileobj(io.BytesIO(data), check=False).structarr, data


def check_copied(tmp_path, change, ending, shape=SHAPE, kind=nib.Nifti1Header, endianness="<"):
    like = write_raw(tmp_path / f"like{ending}", change, shape, kind, endianness)
    image = read_image(like)
    labels = np.zeros(image.array.shape, np.uint8)
    labels[..., 1:3, 2:5, 1:4] = 3
    labels[..., 0, 0, 0] = 1
    out = tmp_path / f"labels{ending}"
    write_labels(out, labels, like=like)
    (before, _), (after, data) = raw_fields(like, kind), raw_fields(out, kind)
    for field in KEPT:
        assert before[field].tobytes() == after[field].tobytes(), field
    assert after["dim"].tolist() == before["dim"].tolist()
    assert (int(after["datatype"]), int(after["bitpix"])) == (2, 8)
    assert (float(after["scl_slope"]), float(after["scl_inter"])) == (1.0, 0.0)
    assert len(data) == int(after["vox_offset"]) + math.prod(shape)
    assert read_geometry(out) == read_geometry(like)
    np.testing.assert_array_equal(read_labels(out).array, labels)
    return like, out


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("change", VARIANTS, ids=lambda f: f.__name__)
def test_labels_carry_the_header_of_the_image(tmp_path, change, ending):
    like, out = check_copied(tmp_path, change, ending)
    with_nibabel, without = nib.load(out), nib.load(like)
    np.testing.assert_array_equal(with_nibabel.affine, without.affine)
    assert with_nibabel.header.get_zooms() == without.header.get_zooms()
    # the same voxels are labelled, seen in the file's own order
    labelled = np.asarray(with_nibabel.dataobj) > 0
    values = np.asarray(read_image(like).array)
    assert sorted(np.asarray(without.dataobj)[labelled].tolist()) == sorted(
        values[read_labels(out).array > 0].astype(float).tolist()
    )


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_labels_carry_the_header_of_a_cine(tmp_path, ending):
    def cine(header):
        both(header)
        header["pixdim"][4] = 0.035

    like, out = check_copied(tmp_path, cine, ending, shape=(*SHAPE, 3))
    assert read_image(like).frame_time_ms == pytest.approx(35.0)
    assert read_labels(out).array.shape[0] == 3


@pytest.mark.parametrize(
    ("kind", "endianness"), [(nib.Nifti2Header, "<"), (nib.Nifti1Header, ">"), (nib.Nifti2Header, ">")]
)
def test_nifti_2_and_big_endian_files(tmp_path, kind, endianness):
    check_copied(tmp_path, both, ".nii.gz", kind=kind, endianness=endianness)


def test_one_frame_of_a_cine_keeps_the_three_spatial_axes(tmp_path):
    like = write_raw(tmp_path / "like.nii.gz", both, (*SHAPE, 3))
    geometry, frames = read_geometry(like)
    assert frames == 3
    write_labels(tmp_path / "one.nii.gz", np.ones(geometry.shape), like=like)
    fields, _ = raw_fields(tmp_path / "one.nii.gz")
    assert fields["dim"].tolist() == [3, *SHAPE, 1, 1, 1, 1]
    assert read_geometry(tmp_path / "one.nii.gz") == (geometry, 1)


@pytest.mark.parametrize("change", VARIANTS, ids=lambda f: f.__name__)
def test_spacing_is_that_of_the_header(tmp_path, change):
    path = write_raw(tmp_path / "a.nii.gz", change)
    z, *in_plane = read_image(path).spacing_mm
    assert z == pytest.approx(8.0, rel=1e-3)
    assert sorted(in_plane) == pytest.approx([1.25, 1.5], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "count", "words"),
    [
        (both, 0, ""),
        (negative_pixdim, 0, ""),
        (unit_sform, 0, ""),
        (disagreeing, 1, "sform and qform disagree by up to"),
        (no_codes, 1, "no orientation"),
        (slightly_sheared, 1, "shear 0.01"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_each_doubt_is_told_once_with_the_files_name(tmp_path, caplog, change, count, words):
    path = write_raw(tmp_path / "doubt.nii.gz", change)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            read_image(path)
    assert len(caplog.records) == count
    if count:
        assert "doubt.nii.gz" in caplog.text
        assert words in caplog.text


@pytest.mark.parametrize("amount", [1e-4, 1e-3, 1e-2])
def test_small_shear_is_read_with_one_warning(tmp_path, caplog, amount):
    path = write_raw(tmp_path / "a.nii.gz", lambda h: h.set_sform(sheared(amount), 1))
    with caplog.at_level(logging.WARNING):
        volume = read_image(path)
    assert len(caplog.records) == 1
    assert f"shear {amount:.2g}" in caplog.text
    assert volume.spacing_mm == pytest.approx((8.0, 1.5, 1.25), rel=1e-3)


def test_affine_and_pixdim_that_differ_are_told_and_pixdim_counts(tmp_path, caplog):
    path = write_raw(tmp_path / "a.nii.gz", lambda h: h.set_sform(rotated((2.5, 3.0, 5.0)), 1))
    with caplog.at_level(logging.WARNING):
        geometry, _ = read_geometry(path)
    assert "pixdim is used" in caplog.text
    assert geometry.spacing_mm == pytest.approx((8.0, 1.5, 1.25))
    assert geometry.voxel_ml == pytest.approx(8.0 * 1.5 * 1.25 / 1000)


def test_zero_spacing_is_refused(tmp_path):
    def flat(header):
        no_codes(header)
        header["pixdim"][3] = 0

    with pytest.raises(DataError, match="positive spacing"):
        read_image(write_raw(tmp_path / "a.nii.gz", flat))


def test_metres_become_millimetres(tmp_path):
    def metres(header):
        header.set_sform(np.diag([0.00125, 0.0015, 0.008, 1]), 1)
        header["pixdim"][1:4] = [0.00125, 0.0015, 0.008]
        header.set_xyzt_units("meter", "sec")

    assert read_image(write_raw(tmp_path / "a.nii.gz", metres)).spacing_mm == pytest.approx((8.0, 1.5, 1.25))


def test_extensions_of_the_image_are_not_copied(tmp_path):
    image = nib.Nifti1Image(np.zeros(SHAPE, np.float32), rotated())
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"PatientName=Doe"))
    nib.save(image, tmp_path / "like.nii")
    write_labels(
        tmp_path / "out.nii", np.zeros(read_geometry(tmp_path / "like.nii")[0].shape), like=tmp_path / "like.nii"
    )
    assert b"Doe" not in (tmp_path / "out.nii").read_bytes()
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii").affine, image.affine, atol=1e-6)
