"""The verdict on a case with its reasons, and what else a reader should look at."""

from __future__ import annotations

from autolv.reporting._html import escaped
from autolv.schema.quality import Finding, Verdict
from autolv.schema.readout import Readout

UNJUDGED = "unjudged"
WORDS = {"pass": "Pass", "review": "Review", "fail": "Fail", UNJUDGED: "Quality not judged"}
_MEANING = {
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
    findings = () if readout.verdict is None else readout.verdict.findings
    ordered = sorted(findings, key=lambda finding: finding.level != "fail")
    reasons = [_finding(readout, finding) for finding in ordered]
    reasons += [f"<li>{escaped(flag.message)}</li>" for flag in readout.flags]
    reasons += _blank_ends(readout)
    listed = f"<ul>{''.join(reasons)}</ul>" if reasons else ""
    return (
        f'<section class="verdict {level}" id="verdict"><strong>{WORDS[level]}</strong>: {_MEANING[level]}.{listed}'
        f"{_not_checked(readout.verdict)}</section>"
    )


def _blank_ends(readout: Readout) -> list[str]:
    """Return a line where the ejection fraction is missing: the first thing that is looked for."""
    ef = readout.quantities.get("lv_ef_percent")
    if ef is None or ef.value is not None:
        return []
    return [f"<li>There is no ejection fraction: {escaped(ef.reason)}.</li>"]


def _finding(readout: Readout, finding: Finding) -> str:
    places = [] if finding.frame is None else [f"frame {finding.frame}"]
    if finding.slices:
        numbers = sorted(readout.slice_number(z) for z in finding.slices)
        places.append(f"slice{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}")
    button = ""
    if places:
        frame = "" if finding.frame is None else str(finding.frame)
        first = str(finding.slices[0]) if finding.slices else ""
        button = f' <button type="button" class="jump" data-frame="{frame}" data-slice="{first}">{", ".join(places)}</button>'
    return f"<li><b>{WORDS[finding.level]}</b>: {escaped(finding.message)}{button}</li>"


def _not_checked(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.not_checked:
        return ""
    lines = "".join(
        f"<li>{escaped(one.check.replace('_', ' '))}: {escaped(one.reason)}</li>" for one in verdict.not_checked
    )
    return f"<details><summary>Not checked ({len(verdict.not_checked)})</summary><ul>{lines}</ul></details>"
