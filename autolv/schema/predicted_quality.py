"""How good a segmentation is expected to be: what a model has learnt of that from its cross-validation, and what it says."""

from __future__ import annotations

from autolv.schema.record import NanFloat, Record


class DiceRegression(Record):
    """Expected Dice of a structure: 1 / (1 + exp(``intercept`` + the sum of ``weights`` x (signal - ``centre``) / ``scale``)).

    The tuples go with ``PredictedQuality.signals``. ``spearman`` and ``mean_absolute_error`` compare expected and true Dice
    over ``frames`` of ``patients``, each expected by a regression that was fitted on other patients.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    frames: int
    patients: int
    spearman: NanFloat
    mean_absolute_error: NanFloat


class IntervalFactor(Record):
    """How wide a quantity's interval is: ``factor`` times the scale that the expected Dice gives it, to both sides.

    ``coverage`` is the share of ``patients`` whose true value lies in it, by factors and regressions of other patients;
    ``median_half_width`` is in the quantity's unit.
    """

    factor: float
    patients: int
    coverage: NanFloat
    median_half_width: float


class PredictedQuality(Record):
    """What the predictions of unseen patients taught of a model: one temperature, the expected Dice, and intervals.

    ``signals`` names what the regressions look at, in their order; ``level`` (0 to 1) is that of the intervals, which go by
    quantity (``lv_edv_ml``, ``lv_esv_ml``, ``lv_ef_percent``). ``nll_before`` and ``nll`` are mean negative log-likelihoods
    per voxel about the structures without and with ``temperature``.
    """

    signals: tuple[str, ...]
    temperature: float
    nll_before: NanFloat
    nll: NanFloat
    dice: dict[str, DiceRegression]
    level: float
    intervals: dict[str, IntervalFactor]
    cases: int
    patients: int


class ExpectedQuality(Record):
    """What is expected of one input's label map: structure -> Dice per frame, NaN where the structure is empty.

    ``factors`` are those of the model's intervals at ``level``, so that a report can give them.
    """

    dice: dict[str, tuple[NanFloat, ...]]
    level: float
    factors: dict[str, float] = {}
