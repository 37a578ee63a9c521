"""The verdict on one patient's label maps, with its reasons."""

from __future__ import annotations

from typing import Literal

from autolv.schema.record import NanFloat, Record

Level = Literal["review", "fail"]
VerdictLevel = Literal["pass", "review", "fail"]


class Finding(Record):
    """What one check saw: in one sentence, where (frames counted from 1, ``slices`` 0-based places in the array), and how much.

    ``value`` and ``threshold`` share ``unit``; NaN where the check is a yes or no. Without ``frame`` it holds of all frames
    together, without ``slices`` of the whole stack.
    """

    check: str
    level: Level
    message: str
    structure: str = ""
    frame: int | None = None
    slices: tuple[int, ...] = ()
    value: NanFloat = float("nan")
    threshold: NanFloat = float("nan")
    unit: str = ""


class NotChecked(Record):
    """A check that could not be made, and why."""

    check: str
    reason: str


class Verdict(Record):
    """``fail`` if any finding says so, else ``review`` if there is one, else ``pass``."""

    level: VerdictLevel
    findings: tuple[Finding, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()

    def of_frame(self, frame: int) -> tuple[Finding, ...]:
        """Return the findings of ``frame`` (from 1), and those of all frames together."""
        return tuple(finding for finding in self.findings if finding.frame in (None, frame))

    def of_slice(self, frame: int, index: int) -> tuple[Finding, ...]:
        """Return the findings that name slice ``index`` (0-based) in ``frame`` (from 1), or in no frame in particular."""
        return tuple(finding for finding in self.of_frame(frame) if index in finding.slices)
