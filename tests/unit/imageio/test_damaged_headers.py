"""NIfTI headers that no writer meant: each is read, or refused in one sentence, and nothing is reserved on its word."""

import gzip
import logging
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.imageio import _nifti
from autolv.imageio.volumes import read_geometry, read_image

VALUES = np.arange(168, dtype=np.int16).reshape(6, 7, 4)  # 336 bytes of voxels
OFFSETS = {"dim": 40, "datatype": 70, "vox_offset": 108, "xyzt_units": 123}  # nifti1.h


def whole() -> bytes:
    """Return a file of 352 + 336 bytes, 1.25 x 1.5 x 8 mm."""
    image = nib.Nifti1Image(VALUES, np.diag([1.25, 1.5, 8.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    return image.to_bytes()


def altered(path: Path, field: str, value: bytes) -> Path:
    data = bytearray(whole())
    begin = OFFSETS[field]
    data[begin : begin + len(value)] = value
    path.write_bytes(gzip.compress(bytes(data)) if path.name.endswith(".gz") else bytes(data))
    return path


def int16(*numbers: int) -> bytes:
    return np.array(numbers, "<i2").tobytes()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("datatype", int16(9999), "NIfTI has no datatype 9999"),
        ("datatype", int16(-1), "NIfTI has no datatype -1"),
        ("datatype", int16(64), "claims 1696 bytes (6 x 7 x 4 voxels), it holds 688"),  # float64: 352 + 168 x 8
        # 352 + 2 x 32767^3 = 352 + 2 x 35 181 150 961 663: 70 terabytes
        ("dim", int16(3, 32767, 32767, 32767), "claims 70362301923678 bytes (32767 x 32767 x 32767 voxels)"),
        ("dim", int16(3, 6, 7, 5), "claims 772 bytes (6 x 7 x 5 voxels), it holds 688"),  # one slice too many
        ("dim", int16(3, 6, 7, -4), "(6 x 7 x -4)"),
        ("dim", int16(-3, 6, 7, 4), "got 0 dimensions"),
        ("dim", int16(7, 6, 7, 4, 1, 1, 1, 1), "got 7 dimensions"),
        ("vox_offset", np.array(1e30, "<f4").tobytes(), "its header claims"),
        ("vox_offset", np.array(np.nan, "<f4").tobytes(), "NaN"),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else re.sub(r"\W+", "-", value),
)  # fmt: skip
def test_a_damaged_field_is_told_with_its_value(
    tmp_path: Path, ending: str, field: str, value: bytes, words: str
) -> None:
    path = altered(tmp_path / f"a{ending}", field, value)
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        read_image(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("code", "mm_per_unit", "told"),
    [
        (255, 1.0, True),  # every bit set, reserved ones too
        (7, 1.0, True),  # 4 to 7 are no units of length
        (0x42, 1.0, True),  # millimetres and a reserved bit
        (0x41, 1000.0, True),  # metres and a reserved bit: the metres still count
        (2 + 56, 1.0, True),  # 56 is no unit of the fourth axis
        (2 + 48, 1.0, False),  # radians per second: odd, yet NIfTI's
        (0, 1.0, False),
        (3 + 8, 0.001, False),
    ],
)
def test_unknown_units_are_told_and_those_of_length_still_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int, mm_per_unit: float, told: bool
) -> None:
    path = altered(tmp_path / "a.nii", "xyzt_units", bytes([code]))
    with caplog.at_level(logging.WARNING):
        volume = read_image(path)
        geometry, _ = read_geometry(path)
    assert volume.spacing_mm == pytest.approx([mm_per_unit * n for n in (8.0, 1.5, 1.25)])
    assert geometry == volume.geometry
    assert sorted(volume.array.ravel()) == list(range(168))
    assert [f"code {code};" in record.getMessage() for record in caplog.records] == [True] * told


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # values that scaling takes out of range
def test_no_byte_of_a_header_gets_anything_but_an_image_or_a_data_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    path, data = tmp_path / "a.nii", whole()
    read = refused = 0
    for place in range(348):
        for byte in (0x00, 0x7F, 0xFF):
            path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
            try:
                volume = read_image(path)
            except DataError:
                refused += 1
            else:
                read += 1
                assert volume.array.size <= VALUES.size
    assert refused > 20 and read > 500


def test_a_file_too_large_for_the_memory_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(data: bytes) -> bytes:
        raise MemoryError

    path = altered(tmp_path / "a.nii.gz", "xyzt_units", b"\x02")
    monkeypatch.setattr(_nifti.gzip, "decompress", exhausted)
    with pytest.raises(DataError, match=r"a\.nii\.gz: reading it takes more memory than there is\. Close other"):
        read_image(path)
