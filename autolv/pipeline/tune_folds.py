"""Training a study's folds by the ordinary pipeline, each trial being a run of its own in the study's folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autolv.core.workspace import Workspace
from autolv.parallel import Position
from autolv.pipeline.train import RunRequest, train_and_validate
from autolv.pipeline.tune_search import Stop
from autolv.runtime.ranks import Alone
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record
from autolv.schema.results import Evaluation, RunChoices
from autolv.schema.splits import Splits
from autolv.schema.tuning import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldTrainer:
    """Trains and validates a fold of a candidate. ``workspace`` is the study's."""

    workspace: Workspace
    folder: Path
    dataset: Dataset
    plan: Plan
    splits: Splits
    study: Study
    device: str
    workers: int
    show: Callable[[Position], None] | None

    def __call__(self, configuration: Configuration, run: str, fold: int, minutes: float, stop: Stop) -> Evaluation:
        """Train, from its start or from where it stopped, and score on whole volumes; a fold that is done is read."""
        choices = RunChoices(
            plan_hash=self.study.plan_hash,
            splits_hash=self.study.splits_hash,
            seed=self.study.seed,
            epochs=None,
            time_budget_minutes=minutes,
            data_hash=self.study.data_hash,
        )
        request = RunRequest(
            workspace=self.workspace, folder=self.folder, dataset=self.dataset, plan=self.plan, splits=self.splits,
            configuration=configuration, choices=choices, run=run, device=self.device, workers=self.workers,
            precision="auto", compile_mode="auto", layout="auto", retry_trial=False, overwrite=False, start=None, log=None,
            show=self.show, ranks=Alone(),
        )  # fmt: skip
        train_and_validate(request, fold, stop_asked=stop)
        place = self.workspace.fold(self.dataset.name, run, configuration.name, fold)
        return read_record(Evaluation, place / "evaluation.json")

    def discard(self, run: str) -> None:
        """Remove what a run that was scored needs no more: weights, states, predictions. Records and pictures stay."""
        for fold in self.workspace.run(self.dataset.name, run).glob("*/fold_*"):
            for name in ("state.pt", "state.pt.previous", "weights.safetensors"):
                (fold / name).unlink(missing_ok=True)
            shutil.rmtree(fold / "validation", ignore_errors=True)
