"""Recipe of ``autolv_demo``: the whole way on cine phantoms, from nothing to an evaluated prediction."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from autolv.core.errors import WorkspaceError
from autolv.core.labels import LV_CAVITY
from autolv.core.workspace import Workspace
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.parallel import Position
from autolv.pipeline.context import thread_count
from autolv.pipeline.convert import convert
from autolv.pipeline.evaluate import evaluate
from autolv.pipeline.figures import prediction_figure
from autolv.pipeline.find_best_config import find_best_config
from autolv.pipeline.plan_and_preprocess import plan_and_preprocess
from autolv.pipeline.predict import predict
from autolv.pipeline.train import train
from autolv.reporting.tables import candidates_table, evaluation_table

_log = logging.getLogger(__name__)
DATASET = "Phantom"
_PATIENTS, _TEST_PATIENTS, _FRAMES, _FOLDS = 18, 5, 12, 3
_SPACING_MM = (8.0, 2.0, 2.0)
_CONFIGURATIONS = ("2d_unet", "2d_attention_unet")
_TRAINING_SHARE = 0.68  # of the minutes; the rest is for converting, validating, choosing and predicting


def demo(
    *,
    root: Path | str = "demo",
    minutes: float = 8.5,
    workers: int | None = None,
    device: str = "auto",
    show: Callable[[Position], None] | None = None,
) -> Path:
    """Make phantoms, plan, train two architectures over three folds, choose, predict unseen cines, report, evaluate.

    Everything is written below ``root``, which must be new or a demo's; takes about ``minutes`` on two cores.
    ``show`` is called after each iteration of a training with its position. Returns the folder with the results to look
    at. The phantoms that are predicted at the end were never trained on.
    """
    folder = Path(root)
    mark = folder / ".autolv-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise WorkspaceError(f"{folder} is not empty.", remedy="Name a new folder with --root.")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark.touch()
    per_fold = minutes * _TRAINING_SHARE / (_FOLDS * len(_CONFIGURATIONS))
    source = folder / "source"
    write_acdc_tree(
        source,
        patients=_PATIENTS,
        test_patients=_TEST_PATIENTS,
        frames=_FRAMES,
        spec=PhantomSpec(spacing_mm=_SPACING_MM),
        seed=1,
        workers=thread_count(workers),
    )
    convert("acdc", source, dataset=DATASET, root=folder, workers=workers)
    plan_and_preprocess(
        DATASET, root=folder, device=device, time_budget_minutes=per_fold, folds=_FOLDS, workers=workers
    )
    for configuration in _CONFIGURATIONS:
        train(DATASET, configuration=configuration, fold="all", root=folder, device=device,
              time_budget_minutes=per_fold, workers=workers, show=show)  # fmt: skip
    best = find_best_config(DATASET, root=folder, device=device, workers=workers)
    raw = Workspace.at(folder).raw(DATASET)
    results = folder / "predictions"
    predict(raw / "imagesTs", results / "frames", dataset=DATASET, root=folder, device=device, workers=workers)
    cines = folder / "cines"
    cines.mkdir()
    for cine in sorted((source / "testing").glob("*/*_4d.nii.gz")):
        shutil.copyfile(cine, cines / cine.name)
    predict(cines, results / "cines", dataset=DATASET, root=folder, device=device, workers=workers, report=True)
    evaluation = evaluate(raw / "labelsTs", results / "frames", output=results / "evaluation", dataset=DATASET,
                          root=folder, workers=workers)  # fmt: skip
    picture = results / "prediction.png"
    prediction_figure(raw, results / "frames", evaluation, picture)
    _log.info("%s", candidates_table(best))
    _log.info("%s", evaluation_table(evaluation))
    _log.info(
        "unseen phantoms: LV Dice %.3f, mean absolute error of EF against the labels %.2f points",
        evaluation.summary[LV_CAVITY]["dice"], evaluation.agreement["EF [%]"].mae,
    )  # fmt: skip
    _log.info("look at: %s (contours), %s (numbers), %s (the cines read out: pages to play, EF, verdict)", picture,
              results / "evaluation" / "cases.csv", results / "cines" / "report" / "index.html")  # fmt: skip
    return results
