"""The plan: everything that preprocessing, networks and training read, written out in full, with a reason per number.

Spatial tuples are (z, y, x) for 3D configurations and (y, x) for 2D ones.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field, model_validator

from autolv.schema.record import Record

Ints = tuple[int, ...]


class Preprocessing(Record):
    """The only block on which the preprocessed cache depends.

    ``in_plane_spacing_mm`` is (y, x). ``slice_spacing_mm`` ``None`` keeps each stack's own slices. ``normalisation``:
    ``zscore`` takes each volume's own mean and standard deviation; ``central_zscore`` those of its central 160 mm in-plane;
    ``percentile_zscore`` clips to the volume's 0.5th and 99.5th percentiles first. Orders are spline orders (3 cubic,
    1 linear).
    """

    in_plane_spacing_mm: tuple[float, float]
    slice_spacing_mm: float | None
    normalisation: Literal["zscore", "central_zscore", "percentile_zscore"]
    image_order: Literal[1, 3]
    label_order: Literal[0, 1]
    crop_to_nonzero: bool


class Network(Record):
    """What a network is built from. One entry of ``features``, ``kernels``, ``strides``, ``blocks`` per stage.

    ``strides[0]`` is all ones; ``strides[s]`` is the downsampling on entering stage s. ``blocks`` counts the convolutions
    (residual V-Net: those of the residual stage) per encoder stage, ``decoder_blocks`` per decoder stage (one fewer).
    ``heads`` is the number of deep-supervision outputs, finest first (the lowest decoder stage has none).
    ``in_channels`` of a 2D network is an odd number of neighbouring slices, of which the middle one is segmented.
    """

    architecture: str
    patch: Ints
    in_channels: int
    classes: int
    features: Ints
    kernels: tuple[Ints, ...]
    strides: tuple[Ints, ...]
    blocks: Ints
    decoder_blocks: Ints
    heads: int

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.patch)

    @property
    def neighbours(self) -> int:
        """How many slices on either side a 2D network sees beside the one that it segments."""
        return self.in_channels // 2 if self.dimensions == 2 else 0

    @property
    def stages(self) -> int:
        """The number of resolutions."""
        return len(self.features)

    @property
    def downsampling(self) -> Ints:
        """The product of all strides, per axis."""
        total = [1] * self.dimensions
        for stride in self.strides:
            total = [t * s for t, s in zip(total, stride, strict=True)]
        return tuple(total)

    @model_validator(mode="after")
    def _check(self) -> Network:
        n = len(self.features)
        if not (len(self.kernels) == len(self.strides) == len(self.blocks) == n == len(self.decoder_blocks) + 1):
            raise ValueError(
                "features, kernels, strides, blocks (and decoder_blocks + 1) must have one entry per stage"
            )
        if self.dimensions not in (2, 3) or any(len(k) != self.dimensions for k in (*self.kernels, *self.strides)):
            raise ValueError("patch, kernels and strides must have two axes or three")
        if self.in_channels < 1 or self.in_channels % 2 == 0 or (self.dimensions == 3 and self.in_channels > 1):
            raise ValueError("in_channels must be odd (2D: neighbouring slices), and 1 in 3D")
        if any(p % d for p, d in zip(self.patch, self.downsampling, strict=True)):
            raise ValueError(f"patch {self.patch} must be a multiple of the downsampling {self.downsampling}")
        if not 1 <= self.heads <= max(1, n - 1):
            raise ValueError("heads must lie between 1 and the number of decoder stages")
        return self


class Training(Record):
    """How a configuration is trained. ``epochs`` x ``iterations_per_epoch`` steps unless a time budget is given.

    ``heart_fraction`` of the patches are placed about the heart, the others anywhere in the field of view.
    ``weight_average`` is the decay per iteration of the exponential moving average of the weights that is kept as the
    result; 0 keeps the last weights.
    """

    batch_size: int
    loss: str
    deep_supervision_weights: tuple[float, ...]
    optimiser: Literal["adamw", "sgd"]
    learning_rate: float
    weight_decay: float
    momentum: float
    warmup_fraction: float
    schedule: Literal["cosine", "poly"]
    gradient_clip: float
    augmentation: str
    mirror: bool
    heart_fraction: float
    epochs: int
    iterations_per_epoch: int
    expected_memory_gb: float
    expected_minutes: float
    weight_average: float = Field(default=0.0, ge=0.0, lt=1.0)


class NnunetConventions(Record):
    """What nnU-Net does otherwise than autolv around a network, as a network that it has trained expects it.

    Images go in as the file stores them, slowest axis first, the axes reordered by ``transpose``. They are normalised
    first, with ``nonzero_only`` over what is not zero, then resampled, as logits are: an axis more than three times as coarse
    as the finest by the nearest slice, the others by splines. Windows weigh most in their voxel n // 2. Logits, not
    probabilities, are averaged over folds, and over mirrorings along ``mirror_axes``, of -3, -2 and -1, as a rule; they are
    summed and resampled in half precision, and of equal ones the lower code wins. There is no looking for the heart.
    """

    transpose: tuple[int, int, int]
    nonzero_only: bool
    mirror_axes: Ints


class Configuration(Record):
    """One complete way to train. ``reasons`` explains numbers by their path, e.g. ``"network.patch"``.

    ``nnunet`` is there where nnU-Net has trained the networks: then they are predicted with by its conventions.
    """

    name: str
    preprocessing: Preprocessing
    network: Network
    training: Training
    reasons: dict[str, str]
    nnunet: NnunetConventions | None = None

    def block_hashes(self) -> tuple[str, str, str]:
        """Return the hashes of the three blocks, without what is expected of the training."""
        training = self.training.model_copy(update={"expected_memory_gb": 0.0, "expected_minutes": 0.0})
        return self.preprocessing.content_hash(), self.network.content_hash(), training.content_hash()


class Tuned(Record):
    """Where a configuration that a search found comes from. ``study`` is its folder below the dataset's results.

    The Dice are those of the trial and of the configuration that the search began with, on the folds that it saw;
    ``verdict`` is what folds that it has not seen say, empty before they were asked.
    """

    began_with: str
    study: str
    trial: int
    dice: float
    dice_before: float
    verdict: str = ""


class Compute(Record):
    """The compute that the plan was shaped for."""

    device: Literal["cpu", "cuda", "mps"]
    cores: int
    memory_gb: float
    time_budget_minutes: float | None


class Plan(Record):
    """All configurations of a dataset, and which one is recommended for the compute at hand.

    ``not_proposed`` names those that this compute, or this dataset, is too small for, each with the reason.
    ``tuned`` names those of them that were not planned but found by a search.
    """

    version: Literal[1] = 1
    dataset: str
    fingerprint_hash: str
    labels: dict[str, int]
    structures: tuple[str, ...]
    compute: Compute
    configurations: dict[str, Configuration]
    not_proposed: dict[str, str] = {}
    recommended: str
    recommended_reason: str
    tuned: dict[str, Tuned] = {}

    def training_hash(self) -> str:
        """Return a hash of what was planned to be trained: labels and configurations, without reasons and expectations.

        What a search adds leaves it as it is, so that runs begun before go on.
        """
        planned = sorted(set(self.configurations) - set(self.tuned))
        parts = [json.dumps(self.labels, sort_keys=True)]
        for name in planned:
            parts += [name, *self.configurations[name].block_hashes()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
