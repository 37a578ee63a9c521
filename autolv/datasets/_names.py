"""What a case's name tells: its patient, its frame, its phase."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autolv.core.errors import DataError
from autolv.schema.dataset import Phase

# "patient001...", "sub-01...", "case_003...": a word for a person and a number at the beginning
_PERSON = re.compile(r"(?:patient|subject|subj|sub|pat|volunteer|case)[_-]?\d+(?=$|[_-])", re.IGNORECASE)
_FRAME = r"(?:frame|fr|f|time|t|phase|ph)[_-]?\d+"
_ENDS = re.compile(rf"(?:[_-](?:{_FRAME}|ED|ES))+$", re.IGNORECASE)
_PHASE = re.compile(rf"[_-](ED|ES)(?:[_-]{_FRAME})?$", re.IGNORECASE)
_NUMBER = re.compile(r"[_-](?:frame|fr)[_-]?(\d+)(?:[_-](?:ED|ES))?$", re.IGNORECASE)

RULE = "a leading 'patient', 'sub', 'case', ... with its number, else the case name less its frame and phase"


def patient_of(case: str, pattern: str | None = None) -> str:
    """Return the patient of ``case``: the one group of ``pattern``, or by the rule that ``RULE`` states.

    ``"patient001_frame01"`` gives ``"patient001"``, ``"case_003_ED"`` ``"case_003"``, ``"A0S9V9_sa_ES"`` ``"A0S9V9_sa"``; a
    name without frame or phase is its own patient. Raises ``DataError`` where ``pattern`` does not match.
    """
    if pattern is None:
        person = _PERSON.match(case)
        return person.group() if person else (_ENDS.sub("", case) or case)
    found = _compiled(pattern).search(case)
    if found is None or not found.group(1):
        raise DataError(
            f"the patient pattern {pattern!r} finds no patient in the case name {case!r}.",
            remedy="Its one group must match the patient in each case name.",
        )
    return found.group(1)


def rule_in_words(cases: Sequence[str], pattern: str | None = None) -> str:
    """Return how patients are found from names, with an example from ``cases``."""
    rule = RULE if pattern is None else f"pattern {pattern}"
    example = next((case for case in cases if patient_of(case, pattern) != case), None)
    if example is not None:
        return f"{rule}; e.g. {example!r} is of patient {patient_of(example, pattern)!r}"
    return f"{rule}; here each case is its own patient"


def phase_of(case: str) -> Phase | None:
    """Return the phase that a case name ends in (``"x_ED"``, ``"x_es_frame09"``), or ``None``."""
    found = _PHASE.search(case)
    if found is None:
        return None
    return "ED" if found.group(1).upper() == "ED" else "ES"


def frame_of(case: str) -> int | None:
    """Return the frame number that a case name ends in (``"patient001_frame12"`` gives 12), or ``None``."""
    found = _NUMBER.search(case)
    return None if found is None else int(found.group(1))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"the patient pattern {pattern!r} is not a regular expression: {error}.",
            remedy=r"Give one with one group, such as '(patient\d+)_'.",
        ) from error
    if compiled.groups != 1:
        raise DataError(
            f"the patient pattern {pattern!r} has {compiled.groups} groups, not one.",
            remedy=r"Put the patient's part, and nothing else, in parentheses, as in '(patient\d+)_'.",
        )
    return compiled
