"""What training, validation, choice and prediction leave behind."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from autolv.schema.levels import Quality, QualityLevel
from autolv.schema.plan import Configuration
from autolv.schema.predicted_quality import ExpectedQuality, PredictedQuality
from autolv.schema.record import Migration, NanFloat, Record
from autolv.schema.steps import Way


class Measured(Record):
    """What was measured or decided on the machine when a run began, and is taken again when it resumes.

    ``parts``: in how many parts a batch went through the network at the end, more than one where memory ran out.
    ``graphs``: with CUDA graphs. ``remembered``: ``trial`` is of an earlier run on the same machine. ``step_gflops``
    counts the convolutions of a step alone; ``matmul_gflops`` is the machine's rate by precision. ``data_share`` is the
    share of the training time that went into getting batches, known at the end. ``processes``: how many trained together,
    each on its share of every batch; ``step_gflops`` is then that of one.
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
    graphs: bool = False
    remembered: bool = False
    step_gflops: float | None = None
    matmul_gflops: dict[str, float] = {}
    data_share: float | None = None
    processes: int = 1

    @property
    def way(self) -> Way:
        """How steps are taken."""
        return Way(
            precision=self.precision, channels_last=self.channels_last, compiled=self.compiled, graphs=self.graphs
        )

    @property
    def matmul_share(self) -> float | None:
        """The step's rate as a share of the machine's fastest matrix product; ``None`` where it was not measured."""
        if self.step_gflops is None or not self.matmul_gflops:
            return None
        return self.step_gflops / max(self.matmul_gflops.values())


class RunChoices(Record):
    """Everything chosen for a run, whatever the configuration and fold: the same run name with others is refused.

    ``augmentation`` ``None`` is each configuration's own; ``data_hash`` is that of all training cases' raw content;
    ``init_from`` is the place of the weights that were begun from, ``None`` for fresh ones; ``deterministic``: only kernels
    that give the same bits each time.
    """

    plan_hash: str
    splits_hash: str
    seed: int
    epochs: int | None
    time_budget_minutes: float | None
    augmentation: str | None = None
    data_hash: str = ""
    init_from: str | None = None
    deterministic: bool = False

    @property
    def flags(self) -> str:
        """The flags of ``autolv_train`` that choose the same again, each with a space before it."""
        text = "" if self.epochs is None else f" --epochs {self.epochs}"
        if self.time_budget_minutes is not None:
            whole = self.time_budget_minutes == int(self.time_budget_minutes)
            length = f"{self.time_budget_minutes:g}m" if whole else f"{self.time_budget_minutes * 60:g}s"
            text += f" --time-budget {length}"
        text += "" if self.augmentation is None else f" --augment {self.augmentation}"
        text += "" if self.init_from is None else f" --init-from {shlex.quote(self.init_from)}"
        text += " --deterministic" if self.deterministic else ""
        return text + ("" if self.seed == 0 else f" --seed {self.seed}")


def _with_data_among_choices(data: dict[str, Any]) -> dict[str, Any]:
    """Take ``run.json`` from version 1, where each fold had a hash of its own cases, to 2, where the run has one of all."""
    return {key: value for key, value in data.items() if key != "data_hash"} | {"version": 2}


class RunRecord(Record):
    """``run.json`` of a fold: what was asked, on what data, by which versions, what was measured, how it ended.

    ``located``: the validation patients are predicted about the heart, found first, and not over the whole field.
    """

    MIGRATIONS: ClassVar[Mapping[int, Migration]] = {1: _with_data_among_choices}
    version: Literal[2] = 2
    dataset: str
    run: str
    fold: int
    configuration: Configuration
    choices: RunChoices
    labels: dict[str, int]
    structures: tuple[str, ...]
    train_patients: tuple[str, ...]
    validation_patients: tuple[str, ...]
    versions: dict[str, str]
    measured: Measured
    status: Literal["training", "trained", "validated"]
    minutes: float
    located: bool = False


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
    level_iou: dict[str, NanFloat] = {}
    level_hausdorff_mm: dict[str, NanFloat] = {}  # mean over the level's slices of the 2D distance between contours
    level_hd95_mm: dict[str, NanFloat] = {}  # 2D and a mean over slices too, as are the two below
    level_assd_mm: dict[str, NanFloat] = {}
    level_surface_dice: dict[str, dict[str, NanFloat]] = {}  # tolerance in mm, as text -> level -> surface Dice


class CaseMetrics(Record):
    """One case compared with its reference.

    ``not_annotated`` names structures that nobody looked for in the reference: of them there are no metrics.
    """

    case: str
    patient: str
    phase: Literal["ED", "ES"] | None
    group: str | None
    structures: dict[str, StructureMetrics]
    not_annotated: tuple[str, ...] = ()


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
    agreement_by_group: dict[str, dict[str, Agreement]] = {}  # group -> quantity
    by_level_iou: dict[str, dict[str, NanFloat]] = {}  # structure -> level -> mean, as are those below
    by_level_hausdorff_mm: dict[str, dict[str, NanFloat]] = {}  # 2D, between the contours of a slice
    by_level_hd95_mm: dict[str, dict[str, NanFloat]] = {}
    by_level_assd_mm: dict[str, dict[str, NanFloat]] = {}
    by_level_surface_dice: dict[str, dict[str, dict[str, NanFloat]]] = {}  # tolerance in mm, as text -> as above
    dice_interval: dict[str, tuple[NanFloat, NanFloat]] = {}  # structure or "mean" -> 95 %, patient bootstrap


class Step(Record):
    """One post-processing step: the registered name, the structure it works on ("" for all), its parameters."""

    name: str
    structure: str = ""
    parameters: dict[str, Any] = {}

    def key(self) -> str:
        """Return a text that is the same for equal steps alone; cheaper than their hash."""
        return f"{self.name} {self.structure} {sorted(self.parameters.items())}"


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
    """``best_config.json``: the choice, how it was made, and all that prediction needs beside the weights.

    ``score`` (plain), ``score_with_postprocessing`` and ``score_with_cross_fitted_postprocessing`` (its steps chosen on
    other patients than they are scored on) are mean Dice over all ``cases`` of the choice; ``cross_fitted_score``, of
    configuration and steps both chosen on other patients, is over the cases that all candidates share. ``quality`` is what
    was learnt of the predictions' quality, ``quality_reason`` why that was not. Records without them keep their hash.
    """

    version: Literal[1] = 1
    dataset: str
    run: str
    labels: dict[str, int]
    structures: tuple[str, ...]
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # the one in which the members were scored
    located: bool = False  # whether they were scored about the heart, found first, or over the whole field
    configurations: dict[str, Configuration]  # those chosen
    members: tuple[Member, ...]
    postprocessing: tuple[Step, ...]
    candidates: tuple[Candidate, ...]
    chosen: str
    reason: str
    score: NanFloat
    score_with_postprocessing: NanFloat
    score_with_cross_fitted_postprocessing: NanFloat = float("nan")
    cases: int = 0
    patients: int = 0
    cross_fitted_score: NanFloat
    folds_available: str  # e.g. "2d_unet 5/5, 3d_unet 1/5"
    fingerprint_hash: str
    licence_note: str
    versions: dict[str, str]
    levels: dict[QualityLevel, Quality] = {}  # empty in models of old
    quality: PredictedQuality | None = None
    quality_reason: str = ""

    @model_serializer(mode="wrap")
    def _without_what_it_lacks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {key: value for key, value in data.items() if value or key not in ("quality", "quality_reason")}


class PredictionStatus(Record):
    """What became of one input; ``kept`` is a result that was there, of which nothing more is known.

    ``frame_numbers`` are those of the cine's frames, from 1, where not all were asked for. ``expected``: the quality that is
    expected, where the model tells it.
    """

    input: str
    output: str | None
    status: Literal["done", "empty", "failed", "kept"]
    message: str = ""
    frames: int = 1
    frame_numbers: tuple[int, ...] = ()
    seconds: float = 0.0
    volumes_ml: dict[str, tuple[float, ...]] = {}  # structure -> per frame
    expected: ExpectedQuality | None = None


class PredictionSummary(Record):
    """``summary.json`` of a prediction: the model that was used, and what became of each input.

    ``labels``: structure -> its code in the label maps; ``weights_sha256``: of the networks that were used (both empty in
    summaries of old).
    """

    version: Literal[1] = 1
    model: str
    cases: tuple[PredictionStatus, ...]
    labels: dict[str, int] = {}
    weights_sha256: tuple[str, ...] = ()
