"""The verdict on a case with its reasons, and what else a reader should look at."""

from __future__ import annotations

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
    reasons = [_finding(readout, finding) for finding in findings_of(readout)]
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


def _finding(readout: Readout, finding: Finding) -> str:
    place, button = place_of(readout, finding), ""
    if place:
        frame = "" if finding.frame is None else str(finding.frame)
        first = str(finding.slices[0]) if finding.slices else ""
        button = f' <button type="button" class="jump" data-frame="{frame}" data-slice="{first}">{place}</button>'
    return f"<li><b>{WORDS[finding.level]}</b>: {escaped(finding.message)}{button}</li>"


def _not_checked(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.not_checked:
        return ""
    lines = "".join(
        f"<li>{escaped(one.check.replace('_', ' '))}: {escaped(one.reason)}</li>" for one in verdict.not_checked
    )
    return f"<details><summary>Not checked ({len(verdict.not_checked)})</summary><ul>{lines}</ul></details>"
