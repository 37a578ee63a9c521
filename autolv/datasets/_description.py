"""``dataset.json``: read in nnU-Net's format 2 and in its older format 1."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolv.core.errors import DataError

_EXAMPLE = '{"channel_names": {"0": "cineMRI"}, "labels": {"background": 0, "lv_cavity": 3}, "file_ending": ".nii.gz"}'
_KNOWN_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True, slots=True)
class Description:
    """What ``dataset.json`` says: codes by name, what files end in, and, where listed, (case, image, label) paths."""

    labels: dict[str, int]
    file_ending: str
    cases: tuple[tuple[str, str, str | None], ...] | None


def read_description(path: Path, found: str) -> Description:
    """Return the description at ``path``; ``found`` says what its folder holds, for the message where it is missing."""
    content = _read(path, found)
    _refuse_channels(path, content)
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise DataError(f"{path} has no 'labels'.", remedy=f"Add them; an example: {_EXAMPLE}")
    ending = content.get("file_ending")
    if ending is None:
        ending = _ending_of(path.parent / "imagesTr")
    if ending not in _KNOWN_ENDINGS:
        raise DataError(
            f"{path}: file_ending {ending!r} is not one that can be read.",
            remedy=f"Use one of {', '.join(_KNOWN_ENDINGS)}.",
        )
    return Description(_codes(path, labels), ending, _listed(path, content.get("dataset")))


def _read(path: Path, found: str) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path.parent} is not a raw dataset: it has no {path.name} ({found}).",
            remedy="Expected are imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz and dataset.json; "
            "other layouts are converted with autolv_convert.",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path} is not valid JSON ({error}).", remedy="Correct it there; a comma too many is the usual cause."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a JSON object.", remedy=f"An example: {_EXAMPLE}")
    return content


def _refuse_channels(path: Path, content: dict[str, Any]) -> None:
    channels = content.get("channel_names", content.get("modality", {}))
    if isinstance(channels, dict) and len(channels) > 1:
        raise DataError(
            f"{path} names {len(channels)} channels ({', '.join(map(str, channels.values()))}); autolv reads one.",
            remedy="Keep the cine image, channel 0, only.",
        )


def _codes(path: Path, labels: dict[str, Any]) -> dict[str, int]:
    """Return codes by name from name -> code (format 2) or code -> name (format 1)."""
    codes: dict[str, int] = {}
    for key, value in labels.items():
        if isinstance(value, list | tuple):
            raise DataError(
                f"{path}: label {key!r} is a region of several codes ({value}); autolv needs one code per structure.",
                remedy="Give each structure its own code.",
            )
        name, code = (str(value), key) if str(key).strip().isdigit() and isinstance(value, str) else (key, value)
        if name.lower() == "ignore":
            raise DataError(
                f"{path}: an 'ignore' label (code {code}) is not supported.", remedy="Use fully labelled cases only."
            )
        try:
            number = int(str(code))
        except ValueError as error:
            raise DataError(
                f"{path}: label {name!r} has the code {code!r}, which is not an integer.", remedy=f"Example: {_EXAMPLE}"
            ) from error
        if name in codes:
            raise DataError(f"{path}: label {name!r} stands twice.", remedy="Give each structure one code.")
        codes[name] = number
    return codes


def _listed(path: Path, entry: object) -> tuple[tuple[str, str, str | None], ...] | None:
    """Return the cases of the optional entry ``dataset``: case -> {"images": [image], "label": label}."""
    if not isinstance(entry, dict):
        return None
    cases = []
    for case, files in entry.items():
        images = files.get("images") if isinstance(files, dict) else None
        if not isinstance(images, list) or len(images) != 1:
            raise DataError(
                f"{path}: dataset.{case} must have one path in 'images', got {images!r}.",
                remedy='Write {"images": ["imagesTr/<case>_0000.nii.gz"], "label": "labelsTr/<case>.nii.gz"}.',
            )
        label = files.get("label")
        cases.append((str(case), str(images[0]), None if label is None else str(label)))
    return tuple(sorted(cases))


def _ending_of(images: Path) -> str:
    """Return what the files in ``images`` end in; ``.nii.gz`` where there is nothing to see."""
    names = [p.name for p in images.iterdir() if not p.name.startswith(".")] if images.is_dir() else []
    return next((ending for ending in _KNOWN_ENDINGS if any(name.endswith(ending) for name in names)), ".nii.gz")
