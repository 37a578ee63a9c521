"""The preprocessed store: what goes in comes out; damage is told, never returned."""

import sys
from pathlib import Path

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.imageio import store
from autolv.imageio.store import (
    StoredCase,
    map_stored,
    open_stored,
    put_back,
    read_stored,
    read_stored_record,
    write_stored,
)
from autolv.schema.preprocessed import Grid, PreprocessedCase


def a_case() -> StoredCase:
    grid = Grid(
        original_shape=(3, 8, 7),
        original_spacing_mm=(8.0, 1.5, 1.25),
        box=((0, 3), (1, 8), (0, 7)),
        shape=(3, 6, 5),
        spacing_mm=(8.0, 1.75, 1.75),
        clip=None,
        mean=120.5,
        sd=33.25,
    )
    record = PreprocessedCase(
        case="p1_ED",
        patient="p1",
        phase="ED",
        group="DCM",
        key="0123",
        grid=grid,
        heart_box=((1, 2), (2, 5), (1, 4)),
        label_voxels={"lv_cavity": 4, "lv_myocardium": 5},
    )
    rng = np.random.default_rng(0)
    image = rng.normal(size=(5, 6, 3)).astype(np.float32).T  # not contiguous
    return StoredCase(image=image, labels=rng.integers(0, 3, size=(3, 6, 5)).astype(np.uint8), record=record)


def test_what_goes_in_comes_out(tmp_path):
    stored, path = a_case(), tmp_path / "deep" / "p1_ED.safetensors"
    write_stored(path, stored)
    back = read_stored(path)
    np.testing.assert_array_equal(back.image, stored.image)
    np.testing.assert_array_equal(back.labels, stored.labels)
    assert (back.image.dtype, back.labels.dtype) == (np.float32, np.uint8)
    assert back.image.flags.writeable
    assert back.labels.flags.writeable
    assert back.record == stored.record == read_stored_record(path)
    assert [p.name for p in path.parent.iterdir()] == ["p1_ED.safetensors"]


def test_equal_input_gives_equal_bytes(tmp_path):
    write_stored(tmp_path / "a", a_case())
    write_stored(tmp_path / "b", a_case())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damage_of_any_kind_is_a_data_error(tmp_path):
    path = tmp_path / "a.safetensors"
    write_stored(path, a_case())
    data = path.read_bytes()
    for damaged in (b"", data[:5], data[:100], data[:-1], b"\xff" * len(data), data.replace(b"p1_ED", b"p1_\xff\xfe")):
        path.write_bytes(damaged)
        for read in (read_stored, read_stored_record):
            with pytest.raises(DataError, match=r"a\.safetensors cannot be read as a preprocessed case"):
                read(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_stored(path)


def test_a_record_of_another_form_is_a_data_error(tmp_path):
    path = tmp_path / "a.safetensors"
    write_stored(path, a_case())
    path.write_bytes(path.read_bytes().replace(b"heart_box", b"heart_bax"))
    with pytest.raises(DataError, match="heart_b"):
        read_stored_record(path)


def test_arrays_must_fit_the_grid():
    stored = a_case()
    with pytest.raises(ValueError, match=r"must be \(3, 6, 5\)"):
        StoredCase(image=stored.image[:2], labels=stored.labels, record=stored.record)


def test_a_mapped_case_is_the_stored_one_and_changing_it_does_not_reach_the_file(tmp_path):
    stored, path = a_case(), tmp_path / "p1_ED.safetensors"
    write_stored(path, stored)
    mapped = map_stored(path)
    assert isinstance(mapped.image, np.memmap) and isinstance(mapped.labels, np.memmap)
    np.testing.assert_array_equal(mapped.image, stored.image)
    np.testing.assert_array_equal(mapped.labels, stored.labels)
    assert mapped.record == stored.record
    mapped.image[...] = 0
    np.testing.assert_array_equal(read_stored(path).image, stored.image)


@pytest.mark.parametrize("keep", [0, 7, 30, -1])
def test_a_damaged_file_is_not_mapped(tmp_path, keep):
    path = tmp_path / "p1_ED.safetensors"
    write_stored(path, a_case())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="cannot be read as a preprocessed case"):
        map_stored(path)


def _resident_kib(path):
    """Return how much of a mapped file is this process's by the kernel's account."""
    found, of_file = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if "-" in line.split(" ", 1)[0]:
            of_file = line.endswith(str(path))
        elif of_file and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_is_put_back_is_no_longer_the_processs_and_is_the_same_when_looked_at_again(tmp_path):
    path = tmp_path / "large.safetensors"
    small = a_case()
    shape = (3, 400, 500)
    grid = small.record.grid.model_copy(update={"shape": shape})
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    record = small.record.model_copy(update={"grid": grid})
    write_stored(path, StoredCase(image=image, labels=(image > 0).astype(np.uint8), record=record))
    opened = open_stored(path)
    assert _resident_kib(path) < 100  # read ahead, but by the system
    np.testing.assert_array_equal(opened.image, image)
    assert _resident_kib(path) > 2000  # of 2344
    put_back(opened)
    assert _resident_kib(path) == 0
    np.testing.assert_array_equal(opened.image, image)
    np.testing.assert_array_equal(opened.labels, image > 0)


def test_where_nothing_can_be_put_back_a_case_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_CAN_PUT_BACK", False)
    path = tmp_path / "p1_ED.safetensors"
    write_stored(path, a_case())
    read = open_stored(path)
    assert not isinstance(read.image, np.memmap)
    read.image[...] = 7  # a change stays: there is nothing that it could be lost to
    put_back(read)
    assert (read.image == 7).all()


def test_a_case_in_memory_cannot_be_put_back():
    case = a_case()
    put_back(case)
    np.testing.assert_array_equal(case.image, a_case().image)
