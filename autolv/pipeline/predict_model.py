"""Which model a prediction is by, and which of its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autolv.core.errors import ModelError
from autolv.core.workspace import Workspace
from autolv.inference.model_folder import read_model
from autolv.pipeline.context import load_plan, open_dataset, pick_configuration
from autolv.pipeline.model import assemble_model
from autolv.pipeline.qualities import quality_of
from autolv.schema.levels import QualityLevel
from autolv.schema.results import BestConfig, Member


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenModel:
    """A model folder, and which of its networks predict: those of ``configuration`` and ``folds``, ``None`` for all."""

    folder: Path
    best: BestConfig
    configuration: str | None
    folds: tuple[int, ...] | None
    mirror: str
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """The name of the choice, or those of its members that predict where these are not all."""
        whole = len(self.members) == len(self.best.members)
        return self.best.chosen if whole else f"{', '.join(self.networks)} (of {self.best.chosen})"

    @property
    def networks(self) -> tuple[str, ...]:
        """The members that predict, in words."""
        return _in_words(self.members)


def model_folder(
    dataset: str | None,
    model: Path | str | None,
    run: str,
    root: Path | str,
    configuration: str | None,
    folds: tuple[int, ...] | None,
) -> Path:
    """Return the model folder that is meant; one of a dataset needs neither its raw data nor its plan to be there."""
    if model is not None:
        if dataset is not None:
            raise ModelError("both a dataset and a model folder were given.", remedy="Give -d or --model, not both.")
        return Path(model)
    if dataset is None:
        raise ModelError("neither a dataset nor a model folder was given.", remedy="Give -d DATASET or --model FOLDER.")
    workspace = Workspace.at(root)
    chosen = workspace.model(dataset, run)
    if configuration is None and (chosen / "best_config.json").exists():
        return chosen
    if configuration is None or not workspace.configuration(dataset, run, configuration).is_dir():
        _check_names(workspace, dataset, configuration)
    if configuration is not None:
        return assemble_model(workspace, dataset, run, configuration, folds)
    named = "" if run == "default" else f" --run {run}"
    raise ModelError(
        f"{dataset} has no chosen model in the run {run!r} ({chosen}), and no trained configuration was named with -c.",
        remedy=f"Run: autolv_find_best_config -d {dataset}{named}",
    )


def _check_names(workspace: Workspace, dataset: str, configuration: str | None) -> None:
    """Refuse a dataset or a configuration that is not there, with the names that may have been meant."""
    if not workspace.raw(dataset).is_dir():
        open_dataset(workspace, dataset)
    if configuration is not None:
        pick_configuration(load_plan(workspace, dataset), configuration)


def choose_model(
    folder: Path,
    *,
    configuration: str | None = None,
    folds: tuple[int, ...] | None = None,
    mirror: str = "auto",
    quality: QualityLevel | None = None,
) -> ChosenModel:
    """Return the members of the model in ``folder`` that are asked for; with ``quality`` those of this level.

    Raises ``ModelError`` for a fold that the model has not, and for a level where it has none.
    """
    best = read_model(folder)
    if quality is not None:
        level = quality_of(best, quality)
        configuration, folds = (level.configurations or (None,))[0], level.folds or None
        mirror = "on" if level.mirror else "auto"
    members = tuple(
        member
        for member in best.members
        if configuration in (None, member.configuration) and (folds is None or member.fold in folds)
    )
    missing = sorted(set(folds or ()) - {member.fold for member in members})
    if missing:
        wanted = f"fold {missing[0]}" if configuration is None else f"{configuration} fold {missing[0]}"
        raise ModelError(f"{folder} has no {wanted}.", remedy=f"It has: {', '.join(_in_words(best.members))}.")
    return ChosenModel(
        folder=folder, best=best, configuration=configuration, folds=folds, mirror=mirror, members=members
    )


def _in_words(members: Sequence[Member]) -> tuple[str, ...]:
    return tuple(f"{member.configuration} fold {member.fold}" for member in members)
