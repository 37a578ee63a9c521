"""One fold, preprocessed once by autolv, for both arms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from autolv.augmentation import oversize
from autolv.core.errors import DataError
from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.imageio.store import read_stored
from autolv.pipeline.cache import fill_cache, stored_file
from autolv.pipeline.convert import convert
from autolv.planning.splits import make_splits
from autolv.runtime.cores import granted_cores
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration
from autolv.schema.record import read_record
from autolv.schema.splits import Fold, Splits
from autolv.training.sampler import gather
from beside_nnunet.translation import DATASET, nnunet_configuration, nnunet_plans

PRESET = "nnunet"  # autolv's preset with nnU-Net's distribution
PHANTOMS = 40
_PATCHES = 48


def raw_dataset(root: Path, acdc: Path | None, patients: int | None) -> tuple[Path, Dataset]:
    """Return the raw folder and the record of ACDC (or of phantoms where ``acdc`` is ``None``), converted where missing.

    Only the first ``patients`` stay in the record.
    """
    phantoms = patients or PHANTOMS
    name = f"Phantoms{phantoms}" if acdc is None else "ACDC"
    folder = Workspace.at(root).raw(name)
    if not folder.is_dir():
        if acdc is None:
            convert("phantom", "-", dataset=name, root=root, patients=phantoms)
        else:
            convert("acdc", acdc, dataset=name, root=root)
    dataset = load_dataset(folder)
    chosen = set(dataset.patients[:patients])
    if len(chosen) < 2:
        raise DataError(f"{folder} has {len(chosen)} patients to train and validate on.", remedy="Give at least 2.")
    return folder, dataset.model_copy(update={"training": tuple(c for c in dataset.training if c.patient in chosen)})


def first_fold(dataset: Dataset, splits_file: Path) -> Fold:
    """Return the first of the committed folds, as far as its patients are in the dataset; else one made for it."""
    if splits_file.exists():
        fold, known = read_record(Splits, splits_file).folds[0], set(dataset.patients)
        train = tuple(patient for patient in fold.train if patient in known)
        validation = tuple(patient for patient in fold.validation if patient in known)
        if train and validation:
            return Fold(name=fold.name, train=train, validation=validation)
    return make_splits(dataset).folds[0]


def prepare(
    root: Path, folder: Path, dataset: Dataset, fold: Fold, configuration: Configuration, *, compile_mode: str
) -> Path:
    """Preprocess what is missing, and return a JSON file with all that an arm needs to know."""
    workspace, block = Workspace.at(root), configuration.preprocessing
    fill_cache(workspace, folder, dataset, block, workers=granted_cores())
    files = {
        side: [str(stored_file(workspace, dataset, block, c)) for c in dataset.training if c.patient in patients]
        for side, patients in (("train", set(fold.train)), ("validation", set(fold.validation)))
    }
    place = root / "arms" / f"{dataset.name}_{configuration.name}"
    place.mkdir(parents=True, exist_ok=True)
    if configuration.network.dimensions == 2:
        _write_patches(files["train"], configuration, place / "patches.safetensors")
    labels = {"background": 0} | {name: i + 1 for i, name in enumerate(dataset.schema_.structures)}
    task: dict[str, Any] = {
        "configuration": configuration.model_dump(mode="json"),
        "compile": compile_mode,
        "files": files,
        "patches": str(place / "patches.safetensors"),
        "nnunet": {
            "dataset": DATASET,
            "configuration": nnunet_configuration(configuration.network),
            "plans": nnunet_plans(configuration),
            "dataset_json": {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"},
        },
    }
    (place / "task.json").write_text(json.dumps(task), encoding="utf-8")
    return place / "task.json"


def _write_patches(files: Sequence[str], configuration: Configuration, path: Path) -> None:
    """Write slices about hearts, as large as both tools gather them ahead of augmentation, from cases in turn.

    ``images`` (n, 1, Y, X) float32 and ``labels`` (n, Y, X) uint8.
    """
    size = (1, *oversize(configuration.network.patch, PRESET))
    images, labels = [], []
    for number in range(_PATCHES):
        stored = read_stored(Path(files[number % len(files)]))
        box = stored.record.heart_box or tuple((0, extent) for extent in stored.image.shape)
        z, y, x = ((low + high - extent) // 2 for (low, high), extent in zip(box, size, strict=True))
        images.append(gather(torch.from_numpy(stored.image), (z, y, x), (size[0], size[1], size[2])))
        labels.append(gather(torch.from_numpy(stored.labels), (z, y, x), (size[0], size[1], size[2])))
    save_file({"images": torch.stack(images), "labels": torch.cat(labels)}, path)
