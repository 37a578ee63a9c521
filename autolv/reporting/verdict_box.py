"""The verdict on a case with its reasons, and what else a reader should look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autolv.reporting._html import escaped
from autolv.schema.quality import Finding, Verdict
from autolv.schema.readout import Readout

UNJUDGED = "unjudged"
WORDS = {"pass": "Pass", "review": "Review", "fail": "Fail", UNJUDGED: "Quality not judged"}
MEANING = {
    "pass": "no check found anything",
    "review": "look before you use these numbers",
    "fail": "do not use these numbers as they are",
    UNJUDGED: "no check of the segmentation was made",
}


def level_of(readout: Readout) -> str:
    """Return ``pass``, ``review``, ``fail`` or ``unjudged``."""
    return UNJUDGED if readout.verdict is None else readout.verdict.level


def verdict_box(readout: Readout) -> str:
    """Return the box (HTML): the verdict, its findings with the places they are at, the read-out's own flags."""
    level = level_of(readout)
    reasons = [_finding(readout, worst, others) for worst, others in findings_by_place(readout)]
    reasons += [f"<li>{escaped(words)}</li>" for words in other_reasons(readout)]
    listed = f"<ul>{''.join(reasons)}</ul>" if reasons else ""
    return (
        f'<section class="verdict {level}" id="verdict"><strong>{WORDS[level]}</strong>: {MEANING[level]}.{listed}'
        f"{_not_checked(readout.verdict)}</section>"
    )


def findings_of(readout: Readout) -> list[Finding]:
    """Return what the checks found, the gravest first."""
    findings = () if readout.verdict is None else readout.verdict.findings
    return sorted(findings, key=lambda finding: finding.level != "fail")


def findings_by_place(readout: Readout) -> list[tuple[Finding, list[Finding]]]:
    """Return the findings, those of one check in the same slices together: the worst, and those of other frames in order."""
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings_of(readout):
        alone = () if finding.frame is not None else (len(alike),)
        alike.setdefault((finding.check, finding.level, finding.structure, finding.slices, *alone), []).append(finding)
    grouped = []
    for group in alike.values():
        worst = max(group, key=_how_far)
        grouped.append((worst, [finding for finding in group if finding is not worst]))
    return grouped


def other_frames(others: Sequence[Finding]) -> str:
    """Return in words in which other frames the same was found; empty where there are none."""
    frames = sorted({finding.frame for finding in others if finding.frame is not None})
    return f"The same in frame{'s' if len(frames) > 1 else ''} {ranges(frames)}." if frames else ""


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in words, runs of three and more as ``first to last``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(number) for number in run]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _how_far(finding: Finding) -> float:
    """Return how far beyond its threshold a finding lies; 0 where that cannot be said."""
    beyond = abs(finding.value - finding.threshold)
    return 0.0 if math.isnan(beyond) else beyond


def other_reasons(readout: Readout) -> list[str]:
    """Return the read-out's own flags, and that the ejection fraction is missing: the first thing that is looked for."""
    ef = readout.quantities.get("lv_ef_percent")
    blank = [] if ef is None or ef.value is not None else [f"There is no ejection fraction: {ef.reason}."]
    return [*(flag.message for flag in readout.flags), *blank]


def place_of(readout: Readout, finding: Finding) -> str:
    """Return in words the frame and slices of which a finding speaks; empty where it speaks of all."""
    places = [] if finding.frame is None else [f"frame {finding.frame}"]
    if finding.slices:
        numbers = sorted(readout.slice_number(z) for z in finding.slices)
        places.append(f"slice{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}")
    return ", ".join(places)


def _finding(readout: Readout, finding: Finding, others: Sequence[Finding]) -> str:
    place = place_of(readout, finding)
    button = f" {_jump(finding, place)}" if place else ""
    if others:
        buttons = " ".join(_jump(one, str(one.frame)) for one in others)
        button += f" The same in frame{'s' if len(others) > 1 else ''} {buttons}"
    return f"<li><b>{WORDS[finding.level]}</b>: {escaped(finding.message)}{button}</li>"


def _jump(finding: Finding, words: str) -> str:
    frame = "" if finding.frame is None else str(finding.frame)
    first = str(finding.slices[0]) if finding.slices else ""
    return f'<button type="button" class="jump" data-frame="{frame}" data-slice="{first}">{words}</button>'


def _not_checked(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.not_checked:
        return ""
    lines = "".join(
        f"<li>{escaped(one.check.replace('_', ' '))}: {escaped(one.reason)}</li>" for one in verdict.not_checked
    )
    return f"<details><summary>Not checked ({len(verdict.not_checked)})</summary><ul>{lines}</ul></details>"
