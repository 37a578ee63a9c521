"""When not to believe a segmentation: a verdict ``pass``, ``review`` or ``fail`` with its reasons, and no reference.

Each check is one registered part: a value with its threshold, its source, a sentence on what it means, and an example in which
it finds something. ``fail`` is what no heart looks like, ``review`` what few do.
"""

from __future__ import annotations

from autolv.readout.quality._check import QUALITY_CHECKS, Check, Example
from autolv.readout.quality._judge import judge, judge_example
from autolv.readout.quality._limits import Limits

__all__ = ["QUALITY_CHECKS", "Check", "Example", "Limits", "judge", "judge_example"]
