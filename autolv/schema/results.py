"""What training, validation, choice and prediction leave behind."""

from __future__ import annotations

from typing import Any, Literal

from autolv.schema.plan import Configuration
from autolv.schema.record import NanFloat, Record


class Measured(Record):
    """What was measured or decided on the machine when a run began, and is taken again when it resumes.

    ``parts``: in how many parts a batch went through the network at the end, more than one where memory ran out.
    """

    device: str
    device_name: str
    threads: int
    precision: Literal["float32", "bfloat16", "float16"]
    channels_last: bool
    compiled: bool
    seconds_per_iteration: float
    epochs: int
    iterations_per_epoch: int
    trial: dict[str, float]  # candidate -> seconds per step
    parts: int = 1


class RunChoices(Record):
    """Everything chosen for a run, whatever the configuration and fold: the same run name with others is refused.

    ``augmentation`` ``None`` is each configuration's own.
    """

    plan_hash: str
    splits_hash: str
    seed: int
    epochs: int | None
    time_budget_minutes: float | None
    augmentation: str | None = None


class RunRecord(Record):
    """``run.json`` of a fold: what was asked, on what data, by which versions, what was measured, how it ended."""

    version: Literal[1] = 1
    dataset: str
    run: str
    fold: int
    configuration: Configuration
    choices: RunChoices
    labels: dict[str, int]
    structures: tuple[str, ...]
    train_patients: tuple[str, ...]
    validation_patients: tuple[str, ...]
    data_hash: str  # of the preprocessed cases that were trained on
    versions: dict[str, str]
    measured: Measured
    status: Literal["training", "trained", "validated"]
    minutes: float


class StructureMetrics(Record):
    """One structure of one case. NaN is undefined: ``empty`` says why (``evaluation.overlap`` states the rules)."""

    dice: NanFloat
    iou: NanFloat
    hausdorff_mm: NanFloat
    hd95_mm: NanFloat
    assd_mm: NanFloat
    surface_dice: dict[str, NanFloat]  # tolerance in mm, as text -> surface Dice
    volume_ml: float
    reference_volume_ml: float
    slices_missed: int
    slices_invented: int
    empty: Literal["", "both", "prediction", "reference"]
    level_dice: dict[str, NanFloat]  # base, mid, apex
    level_hausdorff_mm: dict[str, NanFloat] = {}  # mean over the level's slices of the 2D distance between contours


class CaseMetrics(Record):
    """One case compared with its reference."""

    case: str
    patient: str
    phase: Literal["ED", "ES"] | None
    group: str | None
    structures: dict[str, StructureMetrics]


class Agreement(Record):
    """Agreement of a clinical quantity with the reference over ``n`` patients; limits are bias ± 1.96 SD."""

    n: int
    r: NanFloat
    bias: NanFloat
    sd: NanFloat
    lower_limit: NanFloat
    upper_limit: NanFloat
    mae: NanFloat


class Evaluation(Record):
    """A set of cases compared with their references."""

    version: Literal[1] = 1
    cases: tuple[CaseMetrics, ...]
    mean_dice: NanFloat
    summary: dict[str, dict[str, NanFloat]]  # structure -> metric -> mean
    by_phase: dict[str, dict[str, dict[str, NanFloat]]]
    by_group: dict[str, dict[str, dict[str, NanFloat]]]
    by_level: dict[str, dict[str, NanFloat]]  # structure -> level -> mean Dice
    agreement: dict[str, Agreement]  # "EDV [ml]", "ESV [ml]", "EF [%]", "mass [g]"
    undefined: dict[str, int]  # reason -> how many structure-case pairs
    by_level_hausdorff_mm: dict[str, dict[str, NanFloat]] = {}  # structure -> level -> mean 2D Hausdorff distance
    dice_interval: dict[str, tuple[NanFloat, NanFloat]] = {}  # structure or "mean" -> 95 %, patient bootstrap


class Step(Record):
    """One post-processing step: the registered name, the structure it works on ("" for all), its parameters."""

    name: str
    structure: str = ""
    parameters: dict[str, Any] = {}


class Member(Record):
    """One network of the chosen model: its weights' file within the model folder, and their SHA-256."""

    configuration: str
    fold: int
    weights: str
    sha256: str


class Candidate(Record):
    """One single configuration or ensemble, scored on the cases that all candidates share."""

    name: str
    configurations: tuple[str, ...]
    folds: tuple[int, ...]
    cases: int
    patients: int
    mean_dice: float
    interval: tuple[NanFloat, NanFloat]  # 95 %, patient bootstrap; NaN for fewer than two patients
    dice: dict[str, NanFloat]
    ef_mae_percent: NanFloat
    difference_to_best: float
    difference_interval: tuple[NanFloat, NanFloat]
    separable: bool  # the paired interval of the difference to the best excludes zero


class BestConfig(Record):
    """``best_config.json``: the choice, how it was made, and all that prediction needs beside the weights."""

    version: Literal[1] = 1
    dataset: str
    run: str
    labels: dict[str, int]
    structures: tuple[str, ...]
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # the one in which the members were scored
    configurations: dict[str, Configuration]  # those chosen
    members: tuple[Member, ...]
    postprocessing: tuple[Step, ...]
    candidates: tuple[Candidate, ...]
    chosen: str
    reason: str
    score: NanFloat
    score_with_postprocessing: NanFloat
    cross_fitted_score: NanFloat
    folds_available: str  # e.g. "2d_unet 5/5, 3d_unet 1/5"
    fingerprint_hash: str
    licence_note: str
    versions: dict[str, str]


class PredictionStatus(Record):
    """What became of one input."""

    input: str
    output: str | None
    status: Literal["done", "empty", "failed"]
    message: str = ""
    frames: int = 1
    seconds: float = 0.0
    volumes_ml: dict[str, tuple[float, ...]] = {}  # structure -> per frame


class PredictionSummary(Record):
    """``summary.json`` of a prediction: the model that was used, and what became of each input."""

    version: Literal[1] = 1
    model: str
    cases: tuple[PredictionStatus, ...]
