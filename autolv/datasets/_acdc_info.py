"""ACDC's ``Info.cfg``: ``key: value`` lines about one patient, of which any may be missing or badly written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"\s*([A-Za-z_]+)\s*[:=]\s*(.*?)\s*$")
# wider than any adult patient; what lies outside is a slip of the pen (0, metres, grams)
_HEIGHT_CM, _WEIGHT_KG = (50.0, 250.0), (10.0, 350.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientInfo:
    """What is known of a patient; frames are counted from 1. ``problems`` says what could not be understood."""

    ed: int | None = None
    es: int | None = None
    group: str | None = None
    vendor: str | None = None
    centre: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    problems: tuple[str, ...] = ()


def read_info(path: Path) -> PatientInfo:
    """Return what ``Info.cfg`` at ``path`` says; nothing where it is missing, which is then a problem."""
    if not path.is_file():
        return PatientInfo(problems=("no Info.cfg: phases, group, height and weight are unknown",))
    lines = path.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff").splitlines()
    values = {m.group(1).lower(): m.group(2) for line in lines if (m := _LINE.match(line)) and m.group(2)}
    problems: list[str] = []
    frames = _number(values, "nbframe", problems)
    ed, es = (_frame(values, key, frames, problems) for key in ("ed", "es"))
    if ed is not None and ed == es:
        problems.append(f"ED and ES are both frame {ed}")
    return PatientInfo(
        ed=ed,
        es=es,
        group=values.get("group"),
        vendor=values.get("vendor"),  # these two are not in the release itself
        centre=values.get("centre"),
        height_cm=_within(_number(values, "height", problems), _HEIGHT_CM, "height [cm]", problems),
        weight_kg=_within(_number(values, "weight", problems), _WEIGHT_KG, "weight [kg]", problems),
        problems=tuple(problems),
    )


def _number(values: dict[str, str], key: str, problems: list[str]) -> float | None:
    text = values.get(key)
    if text is None:
        return None
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    problems.append(f"{key} {text!r} is not a number")
    return None


def _frame(values: dict[str, str], key: str, frames: float | None, problems: list[str]) -> int | None:
    number = _number(values, key, problems)
    if number is None:
        return None
    if number < 1 or number != int(number):
        problems.append(f"{key} {number:g} is not a frame; frames are counted from 1")
        return None
    if frames is not None and number > frames:
        problems.append(f"{key} is frame {number:g} of {frames:g}")
    return int(number)


def _within(value: float | None, limits: tuple[float, float], what: str, problems: list[str]) -> float | None:
    if value is None or limits[0] <= value <= limits[1]:
        return value
    problems.append(f"{what} {value:g} is not plausible and is left out")
    return None
