"""Recipe of ``autolv_plan_and_preprocess``: check, fingerprint, plan, splits, and the preprocessed cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from autolv.core.errors import DataError, WorkspaceError
from autolv.core.workspace import Workspace
from autolv.datasets.check import check_dataset
from autolv.datasets.raw import write_cases
from autolv.imageio.volumes import read_image, read_labels
from autolv.parallel import run_each
from autolv.pipeline.cache import fill_cache
from autolv.pipeline.context import open_dataset, thread_count
from autolv.planning.fingerprint import combine_fingerprints, fingerprint_case
from autolv.planning.planner import make_plan
from autolv.planning.splits import check_splits, make_splits
from autolv.runtime.cores import granted_cores, total_memory_gb
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint
from autolv.schema.plan import Compute, Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.splits import SplitBy, Splits

_log = logging.getLogger(__name__)
_USABLE_MEMORY = 0.75  # of what the machine has: the rest is for the data and for others


def plan_and_preprocess(
    dataset: str,
    *,
    root: Path | str = ".",
    device: str = "auto",
    memory_gb: float | None = None,
    time_budget_minutes: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    folds: int = 5,
    split_by: SplitBy = "patient",
    patient_pattern: str | None = None,
    overwrite: bool = False,
) -> Plan:
    """Check the dataset, fingerprint it, write its plan and splits, and fill the preprocessed cache.

    ``device``, ``memory_gb`` and ``time_budget_minutes`` (per fold) shape the plan. Splits that exist are kept as long as
    they fit the dataset; a plan that exists and differs is replaced only with ``overwrite``. Raises ``DataError`` when
    the check finds an error: then nothing but the check's report is written.
    """
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset, patient_pattern=patient_pattern)
    threads = thread_count(workers)
    report = check_dataset(folder, record, workers=threads)
    write_record(report, workspace.check_file(dataset))
    if report.problems:
        _log.warning("%s", report.to_table())
    if report.fatal:
        raise DataError(
            f"the check of {dataset} found errors (table above, {workspace.check_file(dataset)}).",
            remedy="Mend them as the table says and run the same command again.",
        )
    fingerprint = _fingerprint(folder, record, threads)
    plan = make_plan(fingerprint, _compute(device, memory_gb, time_budget_minutes))
    splits = _splits(workspace, record, fingerprint, folds=folds, seed=seed, by=split_by, overwrite=overwrite)
    _refuse_other_plan(workspace, plan, overwrite=overwrite)
    if patient_pattern is not None:
        write_cases(folder, record)  # later commands must not derive the patients by another rule
    write_record(fingerprint, workspace.fingerprint_file(dataset))
    write_record(splits, workspace.splits_file(dataset))
    write_record(plan, workspace.plan_file(dataset))
    _log.info("plan, fingerprint and splits: %s", workspace.plans(dataset))
    for block in {c.preprocessing.content_hash(): c.preprocessing for c in plan.configurations.values()}.values():
        fill_cache(workspace, folder, record, block, workers=threads)
    _log.info("recommended: %s (%s)", plan.recommended, plan.recommended_reason)
    return plan


def _fingerprint(folder: Path, dataset: Dataset, workers: int) -> Fingerprint:
    schema = dataset.schema_

    def one(case: Case) -> CaseFingerprint:
        image = read_image(folder / case.image)
        labels = schema.to_internal(read_labels(folder / str(case.label)).array)
        return fingerprint_case(case, image, labels, schema.structures)

    cases = run_each(one, dataset.training, name=lambda c: c.case, label="fingerprint", workers=workers)
    return combine_fingerprints(dataset, cases)


def _compute(device: str, memory_gb: float | None, minutes: float | None) -> Compute:
    """Return the compute at hand; torch is asked only where a GPU may be meant."""
    kind: Literal["cpu", "cuda", "mps"] = "cpu"
    available = total_memory_gb() * _USABLE_MEMORY
    if device != "cpu":
        from autolv.runtime.device import device_memory_gb, resolve_device

        resolved = resolve_device(device)
        if resolved.type == "cuda":
            kind, available = "cuda", device_memory_gb(resolved)
        elif resolved.type == "mps":
            kind = "mps"
    return Compute(
        device=kind,
        cores=granted_cores(),
        memory_gb=round(available if memory_gb is None else memory_gb, 1),
        time_budget_minutes=minutes,
    )


def _splits(
    workspace: Workspace,
    dataset: Dataset,
    fingerprint: Fingerprint,
    *,
    folds: int,
    seed: int,
    by: SplitBy,
    overwrite: bool,
) -> Splits:
    """Return the splits on disk if they are there and fit, else new ones."""
    made = make_splits(dataset, twins=fingerprint.twins, folds=folds, seed=seed, by=by)
    path = workspace.splits_file(dataset.name)
    if not path.exists() or overwrite:
        return made
    kept = read_record(Splits, path)
    check_splits(kept, dataset, twins=fingerprint.twins)
    if (kept.by, kept.seed, len(kept.folds)) != (made.by, made.seed, len(made.folds)):
        raise WorkspaceError(
            f"{path} holds {len(kept.folds)} folds by {kept.by} (seed {kept.seed}), not what is asked for now.",
            remedy="Replace it with --overwrite, or ask for the same splits.",
        )
    return kept


def _refuse_other_plan(workspace: Workspace, plan: Plan, *, overwrite: bool) -> None:
    path = workspace.plan_file(plan.dataset)
    if overwrite or not path.exists():
        return
    if read_record(Plan, path).training_hash() != plan.training_hash():
        raise WorkspaceError(
            f"{path} exists and differs from the plan made now (other data, compute, budget, or an edit by hand).",
            remedy="Replace it with --overwrite, or keep it and go on with autolv_train.",
        )
