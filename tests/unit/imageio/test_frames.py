"""Cines frame by frame: what is read and written is what the whole file would be, and nothing half-written stays."""

import gzip
import hashlib

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.imageio.frames import ImageFile, LabelFile, ProbabilityFile
from autolv.imageio.volumes import ENDINGS, file_hash, read_geometry, read_image, read_labels, write_image, write_labels

SHAPE = (3, 5, 4)


def cine(path, frames=4, dtype="int16"):
    """Write a cine of (frames, 3, 5, 4) whose x runs towards the patient's left."""
    geometry = Geometry.from_affine(np.diag([-1.25, 1.5, 8.0, 1.0]), SHAPE[::-1])
    array = np.random.default_rng(1).integers(0, 900, (frames, *SHAPE)).astype(np.float32)
    write_image(path, Volume(array=array, geometry=geometry, frame_time_ms=40.0), dtype=dtype)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("frames", [1, 4])
def test_frames_are_those_of_the_whole_file(tmp_path, ending, frames):
    path = cine(tmp_path / f"a{ending}", frames)
    whole, file = read_image(path), ImageFile(path)
    assert (file.frames, file.is_cine, file.geometry) == (frames, frames > 1, whole.geometry)
    each = list(file.each())
    np.testing.assert_array_equal(np.stack(each), whole.array.reshape((frames, *SHAPE)))
    assert all(frame.dtype == np.float32 and frame.flags.c_contiguous for frame in each)
    chosen = [frames - 1] if frames == 1 else [1, 3]
    np.testing.assert_array_equal(np.stack(list(file.each(chosen))), np.stack(each)[chosen])


def test_a_scale_factor_counts_in_each_frame(tmp_path):
    path = cine(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, -3.0], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(data)
    whole = read_image(path).array
    assert whole.min() < 0
    np.testing.assert_array_equal(np.stack(list(ImageFile(path).each())), whole)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_cine_that_is_cut_short_gives_no_frame_at_all(tmp_path, ending):
    path = cine(tmp_path / f"a{ending}", 30)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a\.nii.* cannot be read as an image"):
        next(ImageFile(path).each())


def test_one_flipped_bit_at_the_end_is_found_before_the_first_frame(tmp_path):
    path = cine(tmp_path / "a.nii.gz", 30)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # the checksum's last byte
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC"):
        next(ImageFile(path).each())


@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_frame_by_frame_are_the_file_written_at_once(tmp_path, ending):
    like = cine(tmp_path / f"a{ending}")
    codes = np.random.default_rng(2).integers(0, 4, (4, *SHAPE)).astype(np.uint8)
    write_labels(tmp_path / f"once{ending}", codes, like=like)
    file = LabelFile(tmp_path / "deep" / f"once{ending}", like=like, frames=4)
    for frame in codes:
        file.add(frame)
    sha256 = file.finish()
    assert not (tmp_path / "deep" / f"once{ending}").exists()
    file.place()
    file.drop()
    written = tmp_path / "deep" / f"once{ending}"
    assert file_hash(written) == sha256 == file_hash(tmp_path / f"once{ending}")
    assert all(not path.name.startswith(".") for path in (tmp_path / "deep").iterdir())
    np.testing.assert_array_equal(read_labels(written).array, codes)
    assert read_geometry(written) == read_geometry(like)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mhd"])
def test_what_is_dropped_leaves_the_old_file_and_no_other(tmp_path, ending):
    like = cine(tmp_path / f"a{ending}")
    write_labels(tmp_path / f"b{ending}", np.ones((4, *SHAPE), np.uint8), like=like)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for finished in (False, True):
        file = LabelFile(tmp_path / f"b{ending}", like=like, frames=2)
        file.add(np.zeros(SHAPE, np.uint8))
        if finished:
            file.add(np.zeros(SHAPE, np.uint8))
            file.finish()
        file.drop()
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_labels_of_a_nrrd_cine_may_be_nifti(tmp_path):
    like = cine(tmp_path / "a.nrrd")
    file = LabelFile(tmp_path / "b.nii.gz", like=like, frames=2)
    for value in (1, 2):
        file.add(np.full(SHAPE, value, np.uint8))
    file.finish()
    file.place()
    written = read_labels(tmp_path / "b.nii.gz")
    assert written.array.shape == (2, *SHAPE) and written.array[1].min() == 2
    np.testing.assert_allclose(written.geometry.affine, read_image(like).geometry.affine, atol=1e-5)
    assert written.frame_time_ms == 40.0


@pytest.mark.parametrize("frames", [None, 2])
def test_probabilities_frame_by_frame(tmp_path, frames):
    values = np.random.default_rng(3).random((frames or 1, 2, *SHAPE)).astype(np.float16)
    digests = set()
    for name in ("a.npz", "b.npz"):
        file = ProbabilityFile(tmp_path / name, ["background", "lv_cavity"], SHAPE, frames=frames)
        for frame in values:
            file.add(frame)
        assert not (tmp_path / name).exists()
        file.place()
        file.drop()
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    with np.load(tmp_path / "a.npz") as stored:
        np.testing.assert_array_equal(stored["probabilities"], values if frames else values[0])
        assert stored["probabilities"].dtype == np.float16
        assert stored["classes"].tolist() == ["background", "lv_cavity"]
    ProbabilityFile(tmp_path / "c.npz", ["background"], SHAPE, frames=3).drop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"abc")
    assert file_hash(tmp_path / "a.nii") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(DataError, match="cannot be read"):
        file_hash(tmp_path / "b.nii")
    path = cine(tmp_path / "c.mhd")
    before = file_hash(path)
    (voxels,) = [part for part in tmp_path.iterdir() if part.suffix in (".raw", ".zraw")]
    voxels.write_bytes(voxels.read_bytes() + b"x")  # the header alone is not the image
    assert file_hash(path) != before


def test_a_gzip_without_its_ending_is_streamed(tmp_path):
    path = cine(tmp_path / "a.nii")
    expected = read_image(path).array
    path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(np.stack(list(ImageFile(path).each())), expected)
