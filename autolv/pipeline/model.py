"""Putting trained folds together into a self-contained model folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autolv.core.errors import ModelError
from autolv.core.workspace import Workspace
from autolv.inference.model_folder import describe_member, write_model
from autolv.pipeline.versions import versions
from autolv.schema.plan import Plan
from autolv.schema.record import read_record
from autolv.schema.results import BestConfig, RunChoices, RunRecord

LICENCE_NOTE = (
    "The weights inherit the terms of the data they were trained on (ACDC: CC BY-NC-SA 4.0, non-commercial, cite "
    "Bernard et al. 2018). Research use only; not a medical device."
)


@dataclass(frozen=True, slots=True)
class TrainedFold:
    """One validated fold of one configuration."""

    configuration: str
    number: int
    place: Path
    record: RunRecord

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.place / "weights.safetensors"


def train_command(workspace: Workspace, dataset: str, run: str, configuration: str, fold: int | str) -> str:
    """Return the command that trains a fold of a run with the choices that the run's name stands for."""
    path = workspace.run(dataset, run) / "choices.json"
    flags = read_record(RunChoices, path).flags if path.exists() else ""
    named = "" if run == "default" else f" --run {run}"
    return f"autolv_train -d {dataset} -c {configuration} -f {fold}{flags}{named}"


def trained_folds(
    workspace: Workspace, dataset: str, run: str, names: Sequence[str], count: int
) -> dict[str, list[TrainedFold]]:
    """Return the validated folds among the ``count`` folds of each configuration that has any, in their order."""
    found: dict[str, list[TrainedFold]] = {}
    for name in names:
        for number in range(count):
            place = workspace.fold(dataset, run, name, number)
            if (place / "run.json").exists():
                record = read_record(RunRecord, place / "run.json")
                if record.status == "validated":
                    found.setdefault(name, []).append(TrainedFold(name, number, place, record))
    return found


def common_precision(folds: Sequence[TrainedFold]) -> str:
    """Return the precision in which all ``folds`` were validated, float32 where they differ."""
    kinds = {fold.record.measured.precision for fold in folds}
    return kinds.pop() if len(kinds) == 1 else "float32"


def assemble_model(
    workspace: Workspace, dataset: str, run: str, configuration: str, folds: Sequence[int] | None
) -> Path:
    """Write (anew) and return the model folder of some trained folds of one configuration, without any choice.

    It lies beside the folds. Raises ``ModelError`` that names the command for a fold that is not trained.
    """
    place = workspace.configuration(dataset, run, configuration)
    numbers = range(max(folds) + 1) if folds else range(100)
    there = trained_folds(workspace, dataset, run, [configuration], len(numbers)).get(configuration, [])
    chosen = [fold for fold in there if folds is None or fold.number in folds]
    missing = sorted(set(folds or ()) - {fold.number for fold in chosen})
    if missing or not chosen:
        number = missing[0] if missing else 0
        raise ModelError(
            f"{configuration} fold {number} of {dataset} is not trained (run {run!r}, {place}).",
            remedy=f"Run: {train_command(workspace, dataset, run, configuration, number)}",
        )
    record = chosen[0].record
    names = ", ".join(str(fold.number) for fold in chosen)
    best = BestConfig(
        dataset=dataset,
        run=run,
        labels=record.labels,
        structures=record.structures,
        precision=common_precision(chosen),  # type: ignore[arg-type]
        located=all(fold.record.located for fold in chosen),
        configurations={configuration: record.configuration},
        members=tuple(describe_member(configuration, fold.number, fold.weights) for fold in chosen),
        postprocessing=(),
        candidates=(),
        chosen=configuration,
        reason=f"asked for by name (folds {names}); nothing was compared",
        score=float("nan"),
        score_with_postprocessing=float("nan"),
        cross_fitted_score=float("nan"),
        folds_available=f"{configuration}: {names}",
        fingerprint_hash=_fingerprint_hash(workspace, dataset),
        licence_note=LICENCE_NOTE,
        versions=versions(),
    )
    folder = place / f"model_{'_'.join(str(fold.number) for fold in chosen)}"
    write_model(folder, best, [fold.weights for fold in chosen])
    return folder


def _fingerprint_hash(workspace: Workspace, dataset: str) -> str:
    path = workspace.plan_file(dataset)
    return read_record(Plan, path).fingerprint_hash if path.exists() else ""
