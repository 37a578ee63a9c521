"""Agreement of two sets of read-outs, a model's with a reader's or two readers', beside what readers reach among themselves."""

from __future__ import annotations

from typing import Literal

from autolv.schema.record import NanFloat, Record


class Estimate(Record):
    """A measure of agreement with its 95 % interval by resampling patients; NaN is undefined."""

    value: NanFloat
    interval: tuple[NanFloat, NanFloat]


class ReaderRange(Record):
    """What was published of readers of the same images; ``source`` says by whom, where, and of how many patients.

    ``measure``: ``difference`` is the size of differences in the quantity's unit as the source's abstract sums them up (it does
    not name the statistic), ``icc`` an intraclass correlation of a form that the source's abstract does not name.
    """

    measure: Literal["difference", "icc"]
    lower: float
    upper: float
    source: str


class QuantityAgreement(Record):
    """Agreement of one quantity over ``n`` patients in whom both sides have it; differences are prediction - reference.

    ``icc`` is ICC(2,1): two-way random effects, absolute agreement, a single reading. Limits are bias ± 1.96 SD.
    """

    quantity: str  # "EDV [ml]": with its unit
    n: int
    r: Estimate
    icc: Estimate
    bias: Estimate
    sd: Estimate
    lower_limit: Estimate
    upper_limit: Estimate
    mae: Estimate
    published: tuple[ReaderRange, ...] = ()


class ReadoutAgreement(Record):
    """``readout_agreement.json``: the agreement of each quantity that both sides have, by patient."""

    version: Literal[1] = 1
    patients: int
    quantities: tuple[QuantityAgreement, ...]
