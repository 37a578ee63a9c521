"""Putting the winner of a search into the plan, under a name of its own and with its reasons."""

from __future__ import annotations

import itertools
import logging
import re
from pathlib import Path

from autolv.core.workspace import STUDIES, Workspace
from autolv.pipeline.context import load_plan
from autolv.pipeline.tune_search import folds_in_words
from autolv.planning.search import as_found
from autolv.schema.plan import Configuration, Plan, Tuned
from autolv.schema.record import write_record
from autolv.schema.tuning import Study, Trial

_log = logging.getLogger(__name__)


def add_to_plan(
    workspace: Workspace, place: Path, study: Study, found: Configuration, best: Trial, first: Trial
) -> Configuration:
    """Return the winner under its name in the plan, to which it is added unless it is there from this study."""
    plan = load_plan(workspace, study.dataset)
    before, there = study.configuration.name, below_results(place)
    for name, tuned in plan.tuned.items():
        if tuned.study == there:
            return plan.configurations[name]
    how = (
        f"autolv_tune ({there}, trial {best.number}): Dice {best.dice:.4f} on {folds_in_words(study.search_folds)}, "
        f"where {before} had {first.dice:.4f}"
    )
    winner = as_found(study.configuration, found, name=_free_name(plan, before), how=how)
    origin = Tuned(began_with=before, study=there, trial=best.number, dice=best.dice, dice_before=first.dice)
    _write_plan(workspace, plan, {**plan.configurations, winner.name: winner}, {**plan.tuned, winner.name: origin})
    _log.info("the plan of %s has a new configuration, %s: %s", study.dataset, winner.name, how)
    return winner


def note_in_plan(workspace: Workspace, dataset: str, name: str, verdict: str) -> None:
    """Note beside a configuration that a search found what became of its comparison with the planned one."""
    plan = load_plan(workspace, dataset)
    if name in plan.tuned:
        noted = plan.tuned[name].model_copy(update={"verdict": verdict})
        _write_plan(workspace, plan, plan.configurations, {**plan.tuned, name: noted})


def _write_plan(
    workspace: Workspace, plan: Plan, configurations: dict[str, Configuration], tuned: dict[str, Tuned]
) -> None:
    update = {"configurations": configurations, "tuned": tuned}
    write_record(plan.model_copy(update=update), workspace.plan_file(plan.dataset))


def _free_name(plan: Plan, planned: str) -> str:
    """Return ``<planned>_tuned``, or with the next number where that is taken."""
    stem = re.sub(r"_tuned\d*$", "", planned) + "_tuned"
    names = itertools.chain([stem], (f"{stem}{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in plan.configurations)


def below_results(place: Path) -> str:
    """Return the place of a study below the results of its dataset."""
    return "/".join((STUDIES, *place.parts[-2:]))
