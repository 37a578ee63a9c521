"""Of what a predicted label map was made, so that the same command knows it again."""

from __future__ import annotations

from typing import Literal

from autolv.schema.record import Record
from autolv.schema.results import PredictionStatus


class PredictionOptions(Record):
    """What shapes results beside the model and the image. Device and threads do not count: they change no more than rounding.

    ``members`` are the networks that are used, ``mirror`` is ``auto``, ``on`` or ``off``; ``frame_numbers`` are those asked
    for, from 1, ``None`` for all.
    """

    members: tuple[str, ...]
    mirror: str
    postprocess: bool
    whole_field: bool
    save_probabilities: bool
    frame_numbers: tuple[int, ...] | None = None


class PredictedCase(Record):
    """``records/<case>.json`` beside predictions: the image, the model and the options that gave a result.

    It is written just before the result gets its name: a result without one is not of this program, and one whose SHA-256
    is another was changed since. ``model_hash`` is that of the model's record, which holds the hashes of its weights.
    """

    version: Literal[1] = 1
    autolv: str
    model: str
    model_hash: str
    options: PredictionOptions
    input_sha256: str
    output_sha256: str
    status: PredictionStatus
