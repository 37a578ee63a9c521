"""The key of a case changes with its content and its block, and with nothing else."""

import os

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.imageio.volumes import write_image
from autolv.preprocessing.key import case_key, content_key
from autolv.schema.plan import Preprocessing

CODES = {"lv_cavity": 3, "rv_cavity": 1}


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


@pytest.fixture
def files(tmp_path):
    (tmp_path / "image.nii.gz").write_bytes(b"image")
    (tmp_path / "label.nii.gz").write_bytes(b"label")
    return tmp_path / "image.nii.gz", tmp_path / "label.nii.gz"


def test_the_key_is_stable_under_names_dates_and_the_order_of_codes(files, tmp_path):
    image, label = files
    key = case_key(image, label, CODES, block())
    assert len(key) == 64
    os.utime(image, (0, 0))
    renamed = tmp_path / "renamed.nii.gz"
    image.rename(renamed)
    assert case_key(renamed, label, dict(reversed(CODES.items())), block()) == key


def test_the_key_changes_with_each_part(files):
    image, label = files
    keys = {
        case_key(image, label, CODES, block()),
        case_key(image, None, CODES, block()),
        case_key(label, image, CODES, block()),
        case_key(image, label, {"lv_cavity": 1, "rv_cavity": 3}, block()),
        case_key(image, label, CODES, block(image_order=1)),
        case_key(image, label, CODES, block(in_plane_spacing_mm=(1.5, 1.25))),
    }
    label.write_bytes(b"edited")
    keys.add(case_key(image, label, CODES, block()))
    assert len(keys) == 7


def test_the_voxels_beside_a_metaimage_header_count(tmp_path):
    geometry = Geometry.from_spacing((8.0, 1.5, 1.5), (2, 4, 4))
    array = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    write_image(tmp_path / "a.mhd", Volume(array=array, geometry=geometry))
    first = case_key(tmp_path / "a.mhd", None, CODES, block())
    header = (tmp_path / "a.mhd").read_bytes()
    voxels = bytearray((tmp_path / "a.zraw").read_bytes())
    voxels[-1] ^= 1
    (tmp_path / "a.zraw").write_bytes(bytes(voxels))
    assert (tmp_path / "a.mhd").read_bytes() == header
    assert case_key(tmp_path / "a.mhd", None, CODES, block()) != first


def test_a_missing_file_is_a_data_error(files, tmp_path):
    for name in ("none.nii.gz", "none.mhd"):
        with pytest.raises(DataError, match="cannot be read"):
            case_key(files[0], tmp_path / name, CODES, block())


def test_what_is_annotated_belongs_to_the_content(files):
    image, label = files
    keys = [case_key(image, label, CODES, block(), not_annotated=names) for names in ((), ("rv_cavity",))]
    assert keys[0] == case_key(image, label, CODES, block())
    assert keys[0] != keys[1]
    assert content_key(image, label, CODES) != content_key(image, label, CODES, not_annotated=("rv_cavity",))
