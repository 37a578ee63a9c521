"""Recipe of ``autolv_find_best_config``: every trained configuration and their ensembles, scored on unseen patients."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autolv.core.errors import ModelError
from autolv.core.workspace import Workspace
from autolv.inference.model_folder import describe_member, write_model
from autolv.pipeline.choice_report import choice_report
from autolv.pipeline.context import load_plan, load_splits, open_dataset, pick_configuration, thread_count
from autolv.pipeline.learn_quality import learn_quality
from autolv.pipeline.model import LICENCE_NOTE, TrainedFold, common_precision, train_command, trained_folds
from autolv.pipeline.qualities import named_qualities
from autolv.pipeline.scoring import Scorer
from autolv.pipeline.versions import versions
from autolv.planning.cost import flops_per_mm3
from autolv.reporting.tables import candidates_table
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.levels import Quality, QualityLevel
from autolv.schema.plan import Plan
from autolv.schema.record import read_record, write_record, write_text
from autolv.schema.results import BestConfig, Candidate
from autolv.selection.candidates import ScoredCandidate, candidate_name, enumerate_candidates
from autolv.selection.postprocess import candidate_steps, choose_postprocessing
from autolv.selection.procedure import Selection, select

_log = logging.getLogger(__name__)
Trained = dict[str, list[TrainedFold]]


def find_best_config(
    dataset: str,
    *,
    run: str = "default",
    root: Path | str = ".",
    configurations: Sequence[str] | None = None,
    workers: int | None = None,
    seed: int = 0,
    report: bool = True,
    device: str = "auto",
    measure_passes: int | None = None,
) -> BestConfig:
    """Choose between the trained configurations and their ensembles, choose the post-processing, write the model folder.

    Works with whatever folds are validated, and says which. All candidates are compared on the cases that they share;
    a configuration that shares no fold with the others is left out, with a warning. With ``report``, ``report.html`` in the
    model folder shows dataset, plan, learning curves, candidates, results by part, worst cases and agreement.
    ``measure_passes`` is the number of cases on which it is measured what mirroring gains, and how long each level of
    quality takes on ``device``; without it nothing is predicted. Raises ``ModelError`` naming the exact command when
    nothing is trained, ``PlanError`` for an unknown configuration.
    """
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset)
    plan = load_plan(workspace, dataset)
    splits = load_splits(workspace, record)
    wanted = [pick_configuration(plan, name).name for name in dict.fromkeys(configurations or ())]
    found = trained_folds(workspace, dataset, run, wanted or list(plan.configurations), len(splits.folds))
    _require(found, wanted or [plan.recommended], workspace, dataset, run, all_of_them=bool(wanted))
    trained = _comparable(found, workspace, dataset, run)
    available = _log_available(trained, len(splits.folds), workspace, dataset, run)
    scorer = Scorer(folder, record, trained, workers=thread_count(workers))
    costs = _costs(plan, list(trained), workspace.fingerprint_file(dataset))
    selection = _select(scorer, plan, trained, costs, seed)
    chosen = next(c for c in enumerate_candidates(list(trained)) if candidate_name(c) == selection.choice.chosen)
    # the chosen one's post-processing may be judged on all its own cases, not only on those that all share
    cases = scorer.cases(chosen)
    steps = choose_postprocessing(
        lambda steps: scorer.dice(chosen, cases, steps),
        candidate_steps(record.schema_.structures),
        scorer.shared(cases),
    )
    members = [fold for name in chosen for fold in trained[name]]
    evaluation = scorer.evaluation(chosen, cases, steps.steps)
    quality = learn_quality(
        scorer, chosen, cases, steps.steps, evaluation, record.schema_.structures, workers=thread_count(workers)
    )
    best = BestConfig(
        dataset=dataset,
        run=run,
        labels=record.labels,
        structures=record.schema_.structures,
        precision=common_precision(members),  # type: ignore[arg-type]
        located=all(fold.record.located for fold in members),
        configurations={name: trained[name][0].record.configuration for name in chosen},
        members=tuple(describe_member(fold.configuration, fold.number, fold.weights) for fold in members),
        postprocessing=steps.steps,
        candidates=_candidates(scorer, selection, trained),
        chosen=selection.choice.chosen,
        reason=selection.choice.reason,
        score=steps.score_before,
        score_with_postprocessing=steps.score,
        score_with_cross_fitted_postprocessing=steps.cross_fitted_score,
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        cross_fitted_score=selection.cross_fitted_score,
        folds_available=available,
        fingerprint_hash=plan.fingerprint_hash,
        licence_note=LICENCE_NOTE,
        versions=versions(),
        quality=None if isinstance(quality, str) else quality,
        quality_reason=quality if isinstance(quality, str) else "",
    )
    best = best.model_copy(update={"levels": named_qualities(best)})
    target = workspace.model(dataset, run)

    def page() -> str:
        return choice_report(best, evaluation, scorer, trained, cases, workspace.fingerprint_file(dataset))

    with ThreadPoolExecutor(1) as beside:  # hashing and writing weights leaves the interpreter free for the page
        writing = beside.submit(write_model, target, best, [fold.weights for fold in members])
        shown = page() if report and measure_passes is None else ""
        writing.result()
    if measure_passes is not None:
        measured = _measured_levels(
            target, best, folder, record, scorer, cases, measure_passes, device=device, seed=seed
        )
        best = best.model_copy(update={"levels": measured})
        write_record(best, target / "best_config.json")
    table = candidates_table(best)
    write_text(target / "candidates.txt", table + "\n")
    write_record(evaluation, target / "cross_validation.json")
    for trial in steps.trials:
        _log.info("post-processing %s %s: %s (%+.5f)%s", trial.step.name, trial.step.structure,
                  "kept" if trial.kept else "left out", trial.gain, f", {trial.reason}" if not trial.kept else "")  # fmt: skip
    if report:
        write_text(target / "report.html", shown or page())
        _log.info("report: %s", target / "report.html")
    _log.info("model folder: %s", target)
    return best


def _measured_levels(
    target: Path, best: BestConfig, folder: Path, record: Dataset, scorer: Scorer, cases: Sequence[Case], count: int,
    *, device: str, seed: int,
) -> dict[QualityLevel, Quality]:  # fmt: skip
    from autolv.pipeline.passes import measured_qualities  # here alone something is predicted, by PyTorch

    with_folds = [(case, scorer.fold_of(case)) for case in cases]
    return measured_qualities(target, best, folder, record, with_folds, count, device=device, seed=seed)


def _require(
    trained: Trained, wanted: Sequence[str], workspace: Workspace, dataset: str, run: str, *, all_of_them: bool
) -> None:
    missing = [name for name in wanted if name not in trained]
    if (all_of_them and missing) or not trained:
        raise ModelError(
            f"{missing[0]} of {dataset} has no validated fold in the run {run!r}.",
            remedy=f"Run: {train_command(workspace, dataset, run, missing[0], 'all')}",
        )


def _comparable(trained: Trained, workspace: Workspace, dataset: str, run: str) -> Trained:
    """Return the configurations that share a fold with the one that has most; the others are left out, and told."""
    shared: set[int] = set()
    kept: set[str] = set()
    for name, folds in sorted(trained.items(), key=lambda item: -len(item[1])):
        numbers = {fold.number for fold in folds}
        if shared and not shared & numbers:
            command = train_command(workspace, dataset, run, name, min(shared))
            _log.warning("%s is left out: it shares no fold with %s. %s%s would bring it in.",
                         name, " and ".join(sorted(kept)), command, _root_flag(workspace))  # fmt: skip
            continue
        shared = shared & numbers if shared else numbers
        kept.add(name)
    return {name: folds for name, folds in trained.items() if name in kept}


def _log_available(trained: Trained, count: int, workspace: Workspace, dataset: str, run: str) -> str:
    """Log which folds are there and the exact command for each that is not; return the former in words."""
    parts = []
    for name, folds in trained.items():
        parts.append(f"{name} {len(folds)}/{count} folds")
        for number in sorted(set(range(count)) - {fold.number for fold in folds}):
            command = train_command(workspace, dataset, run, name, number)
            _log.info("missing: %s%s", command, _root_flag(workspace))
    text = ", ".join(parts)
    _log.info("trained: %s", text)
    return text


def _root_flag(workspace: Workspace) -> str:
    return "" if workspace.root == Path.cwd() else f" --root {shlex.quote(str(workspace.root))}"


def _select(scorer: Scorer, plan: Plan, trained: Trained, costs: Mapping[str, float], seed: int) -> Selection:
    names = list(trained)
    shared = scorer.cases(tuple(names))
    _log.info("comparing on %d cases of %d patients", len(shared), len({case.patient for case in shared}))
    by_name = {candidate_name(parts): parts for parts in enumerate_candidates(names)}
    candidates = [
        ScoredCandidate(
            name=name,
            configurations=parts,
            dice=scorer.dice(parts, shared, ()),
            cost=sum(costs[part] for part in parts),
        )
        for name, parts in by_name.items()
    ]
    structures = plan.structures
    return select(
        candidates,
        lambda name, steps: scorer.dice(by_name[name], shared, steps),
        candidate_steps(structures),
        scorer.shared(shared),
        seed=seed,
    )


def _costs(plan: Plan, names: Sequence[str], fingerprint_file: Path) -> dict[str, float]:
    """Return what each configuration costs for the same piece of image: in this, candidates are compared."""
    chosen = [plan.configurations[name] for name in names]
    own_mm = 1.0  # as good as any where all, or none, keep the slices of each stack
    if len({c.preprocessing.slice_spacing_mm is None for c in chosen}) > 1:
        own_mm = read_record(Fingerprint, fingerprint_file).spacing_mm[0].median
    return {c.name: flops_per_mm3(c.network, c.preprocessing, own_mm) for c in chosen}


def _candidates(scorer: Scorer, selection: Selection, trained: Trained) -> tuple[Candidate, ...]:
    shared = scorer.cases(tuple(trained))
    by_name = {candidate_name(parts): parts for parts in enumerate_candidates(list(trained))}
    found = []
    for standing in selection.choice.standings:
        parts = by_name[standing.name]
        means = scorer.structure_means(parts, shared)
        found.append(
            Candidate(
                name=standing.name,
                configurations=parts,
                folds=tuple(sorted({scorer.fold_of(case) for case in shared})),
                cases=len(shared),
                patients=len({case.patient for case in shared}),
                mean_dice=standing.mean_dice,
                interval=standing.interval,
                dice=means,
                ef_mae_percent=scorer.ef_mae_percent(parts, shared),
                difference_to_best=standing.difference_to_best,
                difference_interval=standing.difference_interval,
                separable=standing.separable,
            )
        )
    return tuple(found)
