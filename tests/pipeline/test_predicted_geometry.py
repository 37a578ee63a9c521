"""However a file stores its image, the predicted labels lie where the heart is, on the file's own grid."""

from __future__ import annotations

import gzip
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.cli.predict import main
from autolv.imageio.volumes import read_geometry
from autolv.inference import predictor as module

_SHAPE = (44, 40, 5)
_SPACING = (2.2, 2.6, 9.0)
_LOW, _HIGH = (15, 22, 1), (27, 31, 4)  # the bright block, in voxels of the file; high is exclusive


class Brightness(torch.nn.Module):
    """Calls lv_cavity (channel 1 of 4) what is brighter than one standard deviation above the mean."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        background = torch.zeros_like(image)
        return (torch.cat([background, 8 * (image - 1), background - 9, background - 9], dim=1),)


@pytest.fixture
def predict(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], None]:
    """Return a function that predicts a file or folder into a folder, by brightness."""
    monkeypatch.setattr(module, "load_network", lambda *_given: Brightness().eval())

    def run(images: Path, out: Path) -> None:
        given = ["-i", str(images), "-o", str(out), "--model", str(untrained), "--device", "cpu", "--quiet"]
        assert main(given) == 0

    return run


def image(frames: int | None = None) -> NDArray[np.int16]:
    """A bright block in faint noise, in the file's order."""
    shape = _SHAPE if frames is None else (*_SHAPE, frames)
    array = np.random.default_rng(3).integers(0, 30, shape).astype(np.int16)
    array[tuple(slice(a, b) for a, b in zip(_LOW, _HIGH, strict=True))] += 400
    return array


def rotated(degrees: float = 20.0, spacing: tuple[float, ...] = _SPACING) -> NDArray[np.float64]:
    """An affine turned about the slice axis and then tipped, with its origin off the centre."""
    a, b = math.radians(degrees), math.radians(15.0)
    about_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = (about_x @ about_z) * spacing
    affine[:3, 3] = [-30.0, 12.5, 40.0]
    return affine


def both(header: Any) -> None:
    header.set_sform(rotated(), 1)
    header.set_qform(rotated(), 1)


def sform_only(header: Any) -> None:
    header.set_sform(rotated(), 2)
    header["qform_code"] = 0


def qform_only(header: Any) -> None:
    header.set_qform(rotated(), 1)
    header["sform_code"] = 0


def disagreeing(header: Any) -> None:
    header.set_sform(rotated(), 2)
    header.set_qform(rotated(65.0), 1)


def neither(header: Any) -> None:
    header["sform_code"] = header["qform_code"] = 0


def negative_pixdim(header: Any) -> None:
    both(header)
    header["pixdim"][1:4] *= -1


def left_handed(header: Any) -> None:
    header.set_sform(rotated() @ np.diag([-1.0, 1, 1, 1]), 1)
    header.set_qform(rotated() @ np.diag([-1.0, 1, 1, 1]), 1)


def sheared(header: Any) -> None:
    affine = rotated()
    affine[:3, 1] += 1e-2 * _SPACING[1] * affine[:3, 0] / _SPACING[0]
    header.set_sform(affine, 1)
    header["qform_code"] = 0


def metres(header: Any) -> None:
    header.set_sform(np.vstack([rotated()[:3] / 1000, [0, 0, 0, 1]]), 1)
    header["qform_code"] = 0
    header["pixdim"][1:4] /= 1000
    header.set_xyzt_units("meter", "sec")


def odd_units_and_offset(header: Any) -> None:
    both(header)
    header.set_xyzt_units("unknown", "msec")
    header["toffset"], header["pixdim"][4] = 3.5, 41.0


def scaled(header: Any) -> None:
    both(header)
    header["scl_slope"], header["scl_inter"] = 2.0, 5.0


# name -> header, file name's ending, number of frames, kind of header, order of bytes
VARIANTS: dict[str, tuple[Callable[[Any], None], str, int | None, Any, str]] = {
    "both": (both, ".nii.gz", None, nib.Nifti1Header, "<"),
    "not packed": (both, ".nii", None, nib.Nifti1Header, "<"),
    "sform only": (sform_only, ".nii.gz", None, nib.Nifti1Header, "<"),
    "qform only": (qform_only, ".nii.gz", None, nib.Nifti1Header, "<"),
    "disagreeing": (disagreeing, ".nii.gz", None, nib.Nifti1Header, "<"),
    "neither": (neither, ".nii.gz", None, nib.Nifti1Header, "<"),
    "negative pixdim": (negative_pixdim, ".nii", None, nib.Nifti1Header, "<"),
    "left-handed": (left_handed, ".nii.gz", None, nib.Nifti1Header, "<"),
    "sheared": (sheared, ".nii.gz", None, nib.Nifti1Header, "<"),
    "metres": (metres, ".nii.gz", None, nib.Nifti1Header, "<"),
    "odd units": (odd_units_and_offset, ".nii.gz", 3, nib.Nifti1Header, "<"),
    "scaled": (scaled, ".nii.gz", 2, nib.Nifti1Header, "<"),
    "cine, not packed": (both, ".nii", 3, nib.Nifti1Header, "<"),
    "cine of one frame": (both, ".nii.gz", 1, nib.Nifti1Header, "<"),
    "NIfTI-2, big-endian cine": (both, ".nii.gz", 2, nib.Nifti2Header, ">"),
}
_KEPT = ("dim", "pixdim", "xyzt_units", "toffset", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
         "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_labels_lie_on_the_images_grid_and_where_the_heart_is(
    predict: Callable[[Path, Path], None], tmp_path: Path, name: str
) -> None:
    change, ending, frames, kind, endianness = VARIANTS[name]
    header = kind(endianness=endianness)
    header.set_data_dtype(np.int16)
    header.set_data_shape(image(frames).shape)
    header["pixdim"][1:5] = (*_SPACING, 0.04)
    header.set_xyzt_units("mm", "sec")
    change(header)
    header["vox_offset"] = header.structarr.dtype.itemsize + 4
    header["magic"] = b"n+1" if kind is nib.Nifti1Header else b"n+2\x00\r\n\x1a\n"
    data = header.binaryblock + bytes(4) + image(frames).astype(header.get_data_dtype()).tobytes(order="F")
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(data) if ending == ".nii.gz" else data)  # by hand: nothing repairs the header

    predict(path, tmp_path / "out")
    written = (tmp_path / "out" / f"a{ending}").read_bytes()
    written = gzip.decompress(written) if ending == ".nii.gz" else written
    after = kind(written[: header.structarr.dtype.itemsize], check=False).structarr
    for field in _KEPT:
        assert header[field].tobytes() == after[field].tobytes(), field
    assert read_geometry(tmp_path / "out" / f"a{ending}") == read_geometry(path)
    stored, labels = nib.load(path), nib.load(tmp_path / "out" / f"a{ending}")
    assert labels.shape == stored.shape and labels.get_data_dtype() == np.uint8
    mask = np.asarray(labels.dataobj).reshape((*_SHAPE, -1)) == 3  # lv_cavity's code
    centre = np.append([(a + b - 1) / 2 for a, b in zip(_LOW, _HIGH, strict=True)], 1.0)
    for frame in range(mask.shape[3]):
        found = np.append(np.argwhere(mask[..., frame]).mean(axis=0), 1.0)
        # the image's affine places the block, the labels' own the mask: less than half of the smallest voxel apart
        apart = np.linalg.norm((labels.affine @ found - stored.affine @ centre)[:3])
        assert apart < 0.5 * np.linalg.norm(stored.affine[:3, :3], axis=0).min()


def test_48_ways_to_store_an_image_get_one_mask_in_the_world(
    predict: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    array, affine = image(), rotated(35.0)
    (tmp_path / "in").mkdir()
    ways = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))
    assert len(ways) == 48
    for number, (order, flips) in enumerate(ways):
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for new, old in enumerate(order):
            matrix[old, new] = -1 if flips[new] else 1
            matrix[old, 3] = array.shape[old] - 1 if flips[new] else 0
        moved = np.flip(array.transpose(order), axis=[axis for axis in range(3) if flips[axis]])
        nib.save(nib.Nifti1Image(moved, affine @ matrix), tmp_path / "in" / f"{number:02d}.nii")
    predict(tmp_path / "in", tmp_path / "out")

    def places(number: int) -> NDArray[np.float64]:
        """Where in the world the labelled voxels lie, in mm, in the order of these places."""
        labels = nib.load(tmp_path / "out" / f"{number:02d}.nii")
        voxels = np.argwhere(np.asarray(labels.dataobj) == 3)
        world = np.round(nib.affines.apply_affine(labels.affine, voxels), 2)
        return world[np.lexsort(world.T)]

    first = places(0)
    volume = math.prod(b - a for a, b in zip(_LOW, _HIGH, strict=True))
    assert 0.9 * volume < len(first) < 1.1 * volume
    for number in range(1, 48):
        np.testing.assert_allclose(places(number), first, atol=0.02, err_msg=str(ways[number]))
