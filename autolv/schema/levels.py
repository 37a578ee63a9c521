"""The levels of quality that a model offers: what a prediction may cost."""

from __future__ import annotations

from typing import Literal

from autolv.schema.record import NanFloat, Record

QualityLevel = Literal["fast", "balanced", "best"]


class Quality(Record):
    """A level of ``autolv_predict --quality``: which networks predict (empty: all), and whether each mirrors.

    ``dice`` is cross-validated, with post-processing; NaN where it was not measured. ``seconds_per_frame`` is
    of the machine and device that measured it.
    """

    configurations: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    mirror: bool = False
    dice: NanFloat = float("nan")
    seconds_per_frame: NanFloat = float("nan")
    reason: str = ""

    def measured(self, dice: float, seconds_per_frame: float, reason: str) -> Quality:
        """Return the level with what was measured."""
        return self.model_copy(update={"dice": dice, "seconds_per_frame": seconds_per_frame, "reason": reason})
