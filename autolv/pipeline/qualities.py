"""The levels of quality that a model offers: what a prediction may cost."""

from __future__ import annotations

from autolv.core.errors import ModelError
from autolv.schema.levels import Quality, QualityLevel
from autolv.schema.results import BestConfig


def named_qualities(best: BestConfig) -> dict[QualityLevel, Quality]:
    """Return the levels of a model on which nothing is measured: best is as balanced, since no pass is known to pay."""
    first = best.members[0]
    fast = Quality(configurations=(first.configuration,), folds=(first.fold,), reason="one network")
    balanced = Quality(reason=f"all {len(best.members)} networks of the choice")
    return {
        "fast": fast,
        "balanced": balanced,
        "best": balanced.model_copy(update={"reason": "as balanced: what mirroring gains is not measured"}),
    }


def quality_of(best: BestConfig, level: QualityLevel) -> Quality:
    """Return a level of a model; a ``ModelError`` where the model, one of old, has none."""
    if level not in best.levels:
        raise ModelError(
            "this model offers no levels of quality.",
            remedy="Run autolv_find_best_config again, or leave --quality out.",
        )
    return best.levels[level]
