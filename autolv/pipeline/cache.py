"""The preprocessed cache: one file per case, keyed by the case's content and the preprocessing block."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError, PlanError
from autolv.core.geometry import Volume
from autolv.core.workspace import Workspace
from autolv.imageio.store import StoredCase, map_stored, open_stored, read_stored_record, write_stored
from autolv.imageio.volumes import read_image, read_labels
from autolv.parallel import run_each
from autolv.preprocessing.forward import preprocess_image, preprocess_labels
from autolv.preprocessing.key import case_key, content_key
from autolv.runtime.cores import total_memory_gb
from autolv.schema.dataset import Case, Dataset
from autolv.schema.plan import Preprocessing
from autolv.schema.preprocessed import Box, PreprocessedCase

_log = logging.getLogger(__name__)
_MOST_HELD = 256 << 20  # bytes: what 100 frames of ACDC take; beyond it reading twice costs less than the memory
IN_MEMORY_SHARE = 0.4  # of the memory; the network's activations, and other programs, need the rest


class Held:
    """Images and internal labels that were read already, by case, as far as they take little memory."""

    def __init__(self) -> None:
        self._cases: dict[str, tuple[Volume, NDArray[np.uint8]]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, case: Case, image: Volume, labels: NDArray[np.uint8]) -> None:
        """Keep a case where there is room; safe from several threads."""
        with self._lock:
            self._bytes += image.array.nbytes + labels.nbytes
            if self._bytes <= _MOST_HELD:
                self._cases[case.case] = image, labels

    def get(self, folder: Path, dataset: Dataset, case: Case) -> tuple[Volume, NDArray[np.uint8]]:
        """Return image and labels of ``case``, read where they are not held."""
        if case.case in self._cases:
            return self._cases[case.case]
        labels = read_labels(folder / str(case.label)).array
        return read_image(folder / case.image), dataset.schema_.to_internal(labels)


def fill_cache(
    workspace: Workspace,
    folder: Path,
    dataset: Dataset,
    block: Preprocessing,
    *,
    workers: int,
    held: Held | None = None,
) -> int:
    """Preprocess every training case whose stored result is missing or stale; return how many that were.

    What is in ``held`` is not read again.
    """

    def one(case: Case) -> bool:
        path = stored_file(workspace, dataset, block, case)
        key = _key(folder, dataset, block, case)
        if _stored_key(path) == key:
            return False
        write_stored(path, preprocess_case(folder, dataset, block, case, key, held))
        return True

    from threadpoolctl import threadpool_limits  # here, for the sake of the commands' help

    # sums round in another order on more cores: a case is the same to the bit however many workers there are
    with threadpool_limits(1, user_api="blas"):
        done = run_each(one, dataset.training, name=lambda c: c.case, label="preprocess", workers=workers)
    _log.info("preprocessed %d cases, %d were up to date: %s", sum(done), len(done) - sum(done),
              workspace.cache(dataset.name, block.content_hash()))  # fmt: skip
    return sum(done)


def preprocess_case(
    folder: Path, dataset: Dataset, block: Preprocessing, case: Case, key: str, held: Held | None = None
) -> StoredCase:
    """Return one case preprocessed from its raw files, or from what of them is ``held``."""
    schema = dataset.schema_
    volume, labels = (held or Held()).get(folder, dataset, case)
    image, grid = preprocess_image(volume, block)
    resampled = preprocess_labels(labels, grid, len(schema.structures) + 1, block.label_order)
    counts = np.bincount(resampled.ravel(), minlength=len(schema.structures) + 1)
    record = PreprocessedCase(
        case=case.case,
        patient=case.patient,
        phase=case.phase,
        group=case.group,
        key=key,
        grid=grid,
        heart_box=_box(resampled),
        label_voxels={name: int(counts[i + 1]) for i, name in enumerate(schema.structures)},
        not_annotated=case.not_annotated(schema.structures),
    )
    return StoredCase(image=image, labels=resampled, record=record)


def load_cases(
    workspace: Workspace,
    folder: Path,
    dataset: Dataset,
    block: Preprocessing,
    cases: Sequence[Case],
    *,
    workers: int,
    mapped: bool = False,
) -> list[StoredCase]:
    """Return the preprocessed ``cases``, opened, or only ``mapped`` where not all of them fit into memory.

    One that is missing, or older than its raw files, is a ``PlanError``.
    """
    read = map_stored if mapped else open_stored

    def one(case: Case) -> StoredCase:
        path = stored_file(workspace, dataset, block, case)
        if not path.exists():
            raise PlanError("is not preprocessed.", remedy=f"Run: autolv_plan_and_preprocess -d {dataset.name}")
        stored = read(path)
        if stored.record.key != _key(folder, dataset, block, case):
            raise PlanError(
                "its image or labels changed after preprocessing.",
                remedy=f"Run: autolv_plan_and_preprocess -d {dataset.name}",
            )
        return stored

    return run_each(one, cases, name=lambda c: c.case, label="load", workers=workers)


def fits_memory(workspace: Workspace, dataset: Dataset, block: Preprocessing, *, copies: int = 1) -> bool:
    """Return whether so many ``copies`` of the preprocessed training cases take no more than a fixed share of the memory."""
    files = (stored_file(workspace, dataset, block, case) for case in dataset.training)
    size = sum(path.stat().st_size for path in files if path.exists())
    return copies * size <= IN_MEMORY_SHARE * total_memory_gb() * 1e9


def stored_file(workspace: Workspace, dataset: Dataset, block: Preprocessing, case: Case) -> Path:
    """Return where a case's preprocessed arrays are kept."""
    return workspace.cache(dataset.name, block.content_hash()) / f"{case.case}.safetensors"


def data_hash(folder: Path, dataset: Dataset, *, workers: int) -> str:
    """Return a hash of the raw content of all training cases, and of their names and patients."""

    def one(case: Case) -> str:
        label = None if case.label is None else folder / case.label
        hidden = case.not_annotated(dataset.schema_.structures)
        content = content_key(folder / case.image, label, dataset.labels, not_annotated=hidden)
        return f"{case.case} {case.patient} {content}"

    lines = run_each(one, dataset.training, name=lambda c: c.case, label="identify", workers=workers)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _key(folder: Path, dataset: Dataset, block: Preprocessing, case: Case) -> str:
    label = None if case.label is None else folder / case.label
    hidden = case.not_annotated(dataset.schema_.structures)
    return case_key(folder / case.image, label, dataset.labels, block, not_annotated=hidden)


def _stored_key(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        return read_stored_record(path).key
    except DataError:
        return None  # a damaged cache file is made again


def _box(labels: NDArray[np.uint8]) -> Box | None:
    """Return the box around all labelled voxels, ``None`` where nothing is labelled."""
    sides = []
    for axis in range(3):
        present = np.flatnonzero(labels.any(axis=tuple(i for i in range(3) if i != axis)))
        if present.size == 0:
            return None
        sides.append((int(present[0]), int(present[-1]) + 1))
    return sides[0], sides[1], sides[2]
