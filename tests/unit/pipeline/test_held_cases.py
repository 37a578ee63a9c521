"""Preprocessing from volumes that were read already gives what reading them again gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.imageio.store import read_stored
from autolv.imageio.volumes import read_image, read_labels
from autolv.pipeline import cache
from autolv.pipeline.cache import Held, fill_cache, stored_file
from autolv.pipeline.convert import convert
from autolv.schema.plan import Preprocessing

BLOCK = Preprocessing(
    in_plane_spacing_mm=(2.0, 2.0), slice_spacing_mm=None, normalisation="zscore", image_order=3, label_order=1,
    crop_to_nonzero=True,
)  # fmt: skip


def test_held_cases_give_the_same_files_and_are_not_read_again(tmp_path: Path, monkeypatch) -> None:
    convert("phantom", "-", dataset="P", root=tmp_path, patients=2)
    workspace = Workspace.at(tmp_path)
    folder = workspace.raw("P")
    dataset = load_dataset(folder)
    fill_cache(workspace, folder, dataset, BLOCK, workers=0)
    files = [stored_file(workspace, dataset, BLOCK, case) for case in dataset.training]
    read = {file: file.read_bytes() for file in files}
    held = Held()
    for case in dataset.training:
        labels = dataset.schema_.to_internal(read_labels(folder / str(case.label)).array)
        held.put(case, read_image(folder / case.image), labels)
        stored_file(workspace, dataset, BLOCK, case).unlink()
    monkeypatch.setattr(cache, "read_image", None)  # calling it would fail
    assert fill_cache(workspace, folder, dataset, BLOCK, workers=2, held=held) == len(files)
    assert {file: file.read_bytes() for file in files} == read
    assert all(np.isfinite(read_stored(file).image).all() for file in files)


def test_what_does_not_fit_is_read_where_it_is_asked_for(tmp_path: Path, monkeypatch) -> None:
    convert("phantom", "-", dataset="P", root=tmp_path, patients=2)
    folder = Workspace.at(tmp_path).raw("P")
    dataset = load_dataset(folder)
    first, second = dataset.training[:2]
    image, labels = (read(folder / str(path)) for read, path in ((read_image, first.image), (read_labels, first.label)))
    monkeypatch.setattr(cache, "_MOST_HELD", image.array.nbytes + labels.array.nbytes)
    held = Held()
    for case in (first, second):
        held.put(case, image, np.full(labels.array.shape, 7, dtype=np.uint8))  # another map, to see which one comes
    assert (held.get(folder, dataset, first)[1] == 7).all()
    expected = dataset.schema_.to_internal(read_labels(folder / str(second.label)).array)
    np.testing.assert_array_equal(held.get(folder, dataset, second)[1], expected)
