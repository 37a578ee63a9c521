"""``report.html`` of a choice between configurations: what is on disk, put together for the page."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from autolv.evaluation.causes import Compared, likely_causes
from autolv.imageio.volumes import read_image
from autolv.pipeline.model import TrainedFold
from autolv.pipeline.scoring import Scorer
from autolv.reporting.choice_page import Choice, choice_page
from autolv.reporting.worst_cases import WorstCase, worst_first
from autolv.schema.dataset import Case
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.record import read_record
from autolv.schema.results import BestConfig, CaseMetrics, Evaluation

_WORST = 10


def choice_report(
    best: BestConfig,
    evaluation: Evaluation,
    scorer: Scorer,
    trained: Mapping[str, Sequence[TrainedFold]],
    cases: Sequence[Case],
    fingerprint_file: Path,
) -> str:
    """Return the page (HTML) of ``best``, whose ``evaluation`` is over ``cases``, beside all ``trained``."""
    fingerprint = read_record(Fingerprint, fingerprint_file) if fingerprint_file.exists() else None
    by_name = {case.case: case for case in cases}
    worst = worst_first(evaluation.cases)[:_WORST]
    choice = Choice(
        best=best,
        evaluation=evaluation,
        fingerprint=fingerprint,
        histories={name: {fold.number: read_history(fold.place) for fold in folds} for name, folds in trained.items()},
        worst=[_worst(one, by_name[one.case], best, scorer, fingerprint) for one in worst],
    )
    return choice_page(choice, best.versions.get("autolv", ""))


def read_history(fold: Path) -> list[dict[str, float]]:
    """Return the rows of a fold's ``history.csv``; of none where there is no such file. An empty cell is NaN."""
    path = fold / "history.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(lines)]


def _worst(
    metrics: CaseMetrics, case: Case, best: BestConfig, scorer: Scorer, fingerprint: Fingerprint | None
) -> WorstCase:
    configurations = tuple(best.configurations)
    image = read_image(scorer.folder / case.image)
    prediction, reference = scorer.labels(configurations, case, best.postprocessing)
    hidden = [c for c, name in enumerate(best.structures, start=1) if name in metrics.not_annotated]
    prediction[np.isin(prediction, hidden)] = 0  # nobody looked for it in the reference: it is not wrong
    compared = Compared(
        prediction=prediction, reference=reference, structures=best.structures, spacing_mm=image.spacing_mm,
        phase=case.phase,
    )  # fmt: skip
    described = () if fingerprint is None else fingerprint.cases
    own = next((one for one in described if one.case == case.case), None)
    return WorstCase(
        metrics=metrics, image=image.array, prediction=prediction, reference=reference, structures=best.structures,
        spacing_mm=image.spacing_mm, causes=likely_causes(compared, own, described),
    )  # fmt: skip
