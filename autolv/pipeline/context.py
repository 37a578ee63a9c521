"""What several recipes begin with: the dataset, its plan, its splits, and the names that a user may have meant."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path

from autolv.core.errors import PlanError, WorkspaceError
from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.planning.splits import check_splits
from autolv.runtime.cores import granted_cores
from autolv.runtime.malloc import keep_freed_memory
from autolv.schema.dataset import Dataset
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record
from autolv.schema.splits import Splits

_log = logging.getLogger(__name__)


def open_dataset(workspace: Workspace, name: str, *, patient_pattern: str | None = None) -> tuple[Path, Dataset]:
    """Return a raw dataset's folder and its record; a name that is not there is a ``WorkspaceError`` with the known ones."""
    folder = workspace.raw(name)
    if not folder.is_dir():
        parent = workspace.root / "raw_data"
        known = sorted(p.name for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []
        raise WorkspaceError(
            f"there is no dataset {name!r} in {parent}.",
            remedy=f"Make it with autolv_convert{_meant(name, known)}",
        )
    dataset = load_dataset(folder, patient_pattern=patient_pattern)
    _log.info(
        "dataset %s: %d training cases of %d patients (patient: %s)",
        name, len(dataset.training), len(dataset.patients), dataset.patient_rule,
    )  # fmt: skip
    return folder, dataset


def load_plan(workspace: Workspace, dataset: str) -> Plan:
    """Return the dataset's plan; where there is none, ``PlanError`` names the command that makes it."""
    path = workspace.plan_file(dataset)
    if not path.exists():
        raise PlanError(f"{dataset} has no plan ({path}).", remedy=f"Run: autolv_plan_and_preprocess -d {dataset}")
    return read_record(Plan, path)


def load_splits(workspace: Workspace, dataset: Dataset) -> Splits:
    """Return the dataset's splits, checked against its patients; ``PlanError`` where there are none."""
    path = workspace.splits_file(dataset.name)
    if not path.exists():
        raise PlanError(
            f"{dataset.name} has no splits ({path}).", remedy=f"Run: autolv_plan_and_preprocess -d {dataset.name}"
        )
    splits = read_record(Splits, path)
    check_splits(splits, dataset, twins=_twins(workspace, dataset.name))
    return splits


def _twins(workspace: Workspace, dataset: str) -> tuple[tuple[str, ...], ...]:
    """Return the patients of whom the fingerprint knows that they share an image."""
    path = workspace.fingerprint_file(dataset)
    return read_record(Fingerprint, path).twins if path.exists() else ()


def pick_configuration(plan: Plan, name: str | None) -> Configuration:
    """Return the configuration ``name``, or the one the plan recommends; an unknown name lists the known ones."""
    if name is None:
        _log.info("configuration %s: %s", plan.recommended, plan.recommended_reason)
        return plan.configurations[plan.recommended]
    if name in plan.configurations:
        return plan.configurations[name]
    if name in plan.not_proposed:
        raise PlanError(
            f"the plan of {plan.dataset} does not propose {name}: {plan.not_proposed[name]}.",
            remedy=f"Use one of {', '.join(plan.configurations)}, or plan for more with autolv_plan_and_preprocess.",
        )
    raise PlanError(
        f"the plan of {plan.dataset} has no configuration {name!r}.",
        remedy=f"Use one of {', '.join(plan.configurations)}{_meant(name, list(plan.configurations))}",
    )


def thread_count(workers: int | None, *, processes: int = 1) -> int:
    """Return how many threads to use for independent cases: as asked, or the cores granted, divided among ``processes``.

    It is asked before array work begins, so malloc is tuned here too.
    """
    keep_freed_memory()
    return max(1, granted_cores() // processes) if workers is None else workers


def _meant(name: str, known: list[str]) -> str:
    if not known:
        return "."
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)." if close else f"; there are: {', '.join(known[:8])}."
