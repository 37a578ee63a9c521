"""What more passes earn: cross-validated Dice without and with mirroring, and seconds per frame of each level of quality."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Volume
from autolv.evaluation.bootstrap import paired_difference_interval
from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.imageio.volumes import read_image, read_labels
from autolv.inference.predictor import Predictor
from autolv.parallel import Progress
from autolv.pipeline.qualities import named_qualities
from autolv.schema.dataset import Case, Dataset
from autolv.schema.levels import Quality, QualityLevel
from autolv.schema.results import BestConfig
from autolv.selection.candidates import mean_dice

_log = logging.getLogger(__name__)
_TIMED = 3  # frames, after one that warms up
_UNSEEN = "one network per case, the one that has not seen its patient"


def measured_qualities(
    model: Path, best: BestConfig, folder: Path, dataset: Dataset, cases: Sequence[tuple[Case, int]], count: int,
    *, device: str, seed: int,
) -> dict[QualityLevel, Quality]:  # fmt: skip
    """Return the levels of the ``model`` folder, measured on ``count`` of the cross-validated ``cases`` and their folds.

    Each case is predicted by the networks of the fold that has not seen its patient, without and with mirroring; mirroring
    belongs to ``best`` where its gain in Dice is positive beyond what resampling the patients explains. How many folds pay
    cannot be measured so: each case is unseen by one of them only. Seconds are those of all networks of a level.
    """
    chosen = [cases[index] for index in np.unique(np.linspace(0, len(cases) - 1, max(1, count)).round().astype(int))]
    mirrors = all(one.training.mirror for one in best.configurations.values())
    ways = ("off", "on") if mirrors else ("off",)
    loaded = {
        (fold, way): Predictor.load(model, device=device, folds=(fold,), mirror=way)
        for fold in sorted({fold for _, fold in chosen})
        for way in ways
    }
    dice: dict[str, list[NDArray[np.float64]]] = {way: [] for way in ways}
    progress = Progress("measure passes", len(chosen))
    for case, fold in chosen:
        image, reference = read_image(folder / case.image), read_labels(folder / str(case.label))
        labels = dataset.schema_.to_internal(reference.array)
        for way in ways:
            dice[way].append(_dice(loaded[fold, way].predict(image).labels, labels, best, case))
        progress.advance()
    plain, patients = np.stack(dice["off"]), [case.patient for case, _ in chosen]
    image = read_image(folder / chosen[0][0].image)
    levels = named_qualities(best)
    fast = levels["fast"]
    on = f"on {len(chosen)} cases of {len(set(patients))} patients, {_UNSEEN}"
    seconds = _seconds(Predictor.load(model, device=device), image)
    levels["balanced"] = levels["balanced"].measured(
        mean_dice(plain), seconds, f"{levels['balanced'].reason}; Dice {on}"
    )
    # a network of another configuration than all together has no Dice of its own here
    alone = mean_dice(plain) if len(best.configurations) == 1 else float("nan")
    quick = Predictor.load(model, device=device, configurations=fast.configurations, folds=fast.folds)
    levels["fast"] = fast.measured(alone, _seconds(quick, image), f"{fast.reason}; Dice {on}")
    levels["best"] = levels["balanced"]
    if mirrors:
        mirrored = np.stack(dice["on"])
        gain = mean_dice(mirrored - plain)
        low, high = paired_difference_interval(mirrored, plain, patients, seed=seed)
        worth = low > 0
        told = f"mirroring changes the Dice by {gain:+.4f} ({low:+.4f} to {high:+.4f}) {on}"
        _log.info("%s: %s", told, "best mirrors" if worth else "best does not mirror")
        levels["best"] = levels["balanced"].model_copy(update={"reason": f"as balanced: {told}"})
        if worth:
            both = Predictor.load(model, device=device, mirror="on")
            levels["best"] = Quality(mirror=True).measured(mean_dice(mirrored), _seconds(both, image), told)
    return levels


def _dice(labels: NDArray[np.uint8], reference: NDArray[np.uint8], best: BestConfig, case: Case) -> NDArray[np.float64]:
    """Return the Dice of each structure, NaN where it is in neither map or was not annotated."""
    histogram = joint_histogram(labels, reference, len(best.structures) + 1)
    hidden = case.not_annotated(best.structures)
    return np.array(
        [np.nan if name in hidden else overlap_of(histogram, number).dice
         for number, name in enumerate(best.structures, start=1)]
    )  # fmt: skip


def _seconds(predictor: Predictor, image: Volume) -> float:
    """Return the median of a few predictions of a frame in memory, from array to labels."""
    predictor.predict(image)
    times = []
    for _ in range(_TIMED):
        begin = time.perf_counter()
        predictor.predict(image)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))
