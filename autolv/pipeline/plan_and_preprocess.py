"""Recipe of ``autolv_plan_and_preprocess``: check and fingerprint in one pass, plan, splits, the preprocessed cache."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Literal

from autolv.core.errors import DataError, SchemaError, SplitError, WorkspaceError
from autolv.core.geometry import Volume
from autolv.core.workspace import Workspace
from autolv.datasets.check import check_dataset
from autolv.datasets.raw import write_cases
from autolv.pipeline.cache import Held, fill_cache
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
_FOLDS = 5  # Isensee 2021
_USABLE_MEMORY = 0.75  # of what the machine has: the rest is for the data and for others
_USABLE_GPU_MEMORY = 0.9  # the rest is for other programs and for what the allocator cannot join


def plan_and_preprocess(
    dataset: str,
    *,
    root: Path | str = ".",
    device: str = "auto",
    memory_gb: float | None = None,
    time_budget_minutes: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    folds: int | None = None,
    split_by: SplitBy | None = None,
    patient_pattern: str | None = None,
    overwrite: bool = False,
) -> Plan:
    """Check the dataset, fingerprint it, write its plan and splits, and fill the preprocessed cache.

    ``device``, ``memory_gb`` and ``time_budget_minutes`` (per fold) shape the plan; ``folds`` (5) and ``split_by``
    (patient) the splits. What exists and fits the dataset is kept where none of these asks for another, and is replaced
    by another only with ``overwrite``. Raises ``DataError`` when the check finds an error: then nothing but the check's
    report is written.
    """
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset, patient_pattern=patient_pattern)
    threads = thread_count(workers)
    schema, held = record.schema_, Held()
    measured: dict[str, CaseFingerprint] = {}

    def measure(case: Case, image: Volume, labels: Volume) -> None:
        internal = schema.to_internal(labels.array)
        measured[case.case] = fingerprint_case(case, image, internal, schema.structures)
        held.put(case, image, internal)

    report = check_dataset(folder, record, workers=threads, each=measure)
    write_record(report, workspace.check_file(dataset))
    if report.problems:
        _log.warning("%s", report.to_table())
    if report.fatal:
        raise DataError(
            f"the check of {dataset} found errors (table above, {workspace.check_file(dataset)}).",
            remedy="Mend them as the table says and run the same command again.",
        )
    fingerprint = combine_fingerprints(record, [measured[case.case] for case in record.training])
    asked = device != "auto" or memory_gb is not None or time_budget_minutes is not None
    compute = _compute(device, memory_gb, time_budget_minutes)
    plan = _plan(workspace, fingerprint, compute, asked=asked, overwrite=overwrite)
    splits = _splits(workspace, record, fingerprint, folds=folds, seed=seed, by=split_by, overwrite=overwrite)
    if patient_pattern is not None:
        write_cases(folder, record)  # later commands must not derive the patients by another rule
    write_record(fingerprint, workspace.fingerprint_file(dataset))
    write_record(splits, workspace.splits_file(dataset))
    write_record(plan, workspace.plan_file(dataset))
    _log.info("plan, fingerprint and splits: %s", workspace.plans(dataset))
    for block in {c.preprocessing.content_hash(): c.preprocessing for c in plan.configurations.values()}.values():
        fill_cache(workspace, folder, record, block, workers=threads, held=held)
    _log.info("recommended: %s (%s)", plan.recommended, plan.recommended_reason)
    return plan


def _compute(device: str, memory_gb: float | None, minutes: float | None) -> Compute:
    """Return the compute at hand; torch is asked only where a GPU may be meant."""
    kind: Literal["cpu", "cuda", "mps"] = "cpu"
    available = total_memory_gb() * _USABLE_MEMORY
    if device != "cpu":
        from autolv.runtime.device import device_memory_gb, resolve_device

        resolved = resolve_device(device)
        if resolved.type == "cuda":
            kind, available = "cuda", device_memory_gb(resolved) * _USABLE_GPU_MEMORY
        elif resolved.type == "mps":
            kind = "mps"
    return Compute(
        device=kind,
        cores=granted_cores(),
        memory_gb=round(available if memory_gb is None else memory_gb, 1),
        time_budget_minutes=minutes,
    )


def _plan(workspace: Workspace, fingerprint: Fingerprint, compute: Compute, *, asked: bool, overwrite: bool) -> Plan:
    """Return a new plan, or the one on disk where it is the same or where no other compute was ``asked`` for."""
    path = workspace.plan_file(fingerprint.dataset)
    if not path.exists():
        return make_plan(fingerprint, compute)
    if overwrite:
        made = make_plan(fingerprint, compute)
        with suppress(SchemaError):  # a plan that cannot be read is replaced too
            made = _with_tuned(made, read_record(Plan, path))
        return made
    kept = read_record(Plan, path)
    made = make_plan(fingerprint, compute if asked else kept.compute)
    here = compute.model_copy(update={"time_budget_minutes": kept.compute.time_budget_minutes})
    if not asked and here != kept.compute:
        _log.warning("%s was made for %s, here is %s; it is kept. --overwrite plans anew.",
                     path, _in_words(kept.compute), _in_words(here))  # fmt: skip
    if made.training_hash() == kept.training_hash():
        return _with_tuned(made, kept)
    if asked or made.labels != kept.labels:
        raise WorkspaceError(
            f"{path} exists and differs from the plan made now (other data, compute, budget, or an edit by hand).",
            remedy="Replace it with --overwrite, or keep it: the same command without --device, --memory-gb and "
            "--time-budget, then autolv_train.",
        )
    same_data = kept.fingerprint_hash == fingerprint.content_hash()
    why = "it was edited, or made by another version" if same_data else "the data changed since it was made"
    _log.warning("%s is kept, though %s; --overwrite plans anew.", path, why)
    return kept


def _with_tuned(made: Plan, kept: Plan) -> Plan:
    """Return the plan ``made`` with what searches have added to the one ``kept``, as far as it is of the same data."""
    blocks = [configuration.preprocessing for configuration in made.configurations.values()]
    fitting = {
        name: kept.configurations[name]
        for name in kept.tuned
        if kept.labels == made.labels and kept.configurations[name].preprocessing in blocks
    }
    for name in set(kept.tuned) - set(fitting):
        _log.warning("%s is left out: it was found for other labels or another preprocessing.", name)
    return made.model_copy(
        update={
            "configurations": {**made.configurations, **fitting},
            "tuned": {name: kept.tuned[name] for name in fitting},
        }
    )


def _in_words(compute: Compute) -> str:
    minutes = compute.time_budget_minutes
    budget = "" if minutes is None else f", {minutes:g} min per fold"
    return f"{compute.device} with {compute.cores} cores and {compute.memory_gb:g} GB{budget}"


def _splits(
    workspace: Workspace,
    dataset: Dataset,
    fingerprint: Fingerprint,
    *,
    folds: int | None,
    seed: int,
    by: SplitBy | None,
    overwrite: bool,
) -> Splits:
    """Return the splits on disk, as long as they fit the dataset and no others are asked for, else new ones."""
    path = workspace.splits_file(dataset.name)
    asked = folds is not None or by is not None or seed != 0
    if path.exists() and not (overwrite and asked):
        kept = read_record(Splits, path)
        try:
            check_splits(kept, dataset, twins=fingerprint.twins)
        except SplitError:
            if not overwrite:
                raise
        else:
            wanted = (by or kept.by, seed if asked else kept.seed)
            if (kept.by, kept.seed) != wanted or (
                folds is not None and kept.by == "patient" and folds != len(kept.folds)
            ):
                raise WorkspaceError(
                    f"{path} holds {len(kept.folds)} folds by {kept.by} (seed {kept.seed}), not what is asked for now.",
                    remedy="Replace it with --overwrite, or ask for the same splits.",
                )
            return kept
    return make_splits(dataset, twins=fingerprint.twins, folds=folds or _FOLDS, seed=seed, by=by or "patient")
