"""Raw datasets: how they lie on disk, how they are checked, and one converter per source layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autolv.core.registry import Registry
from autolv.schema.dataset import ConversionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What a conversion may be told; each converter reads what concerns it.

    ``labels`` maps structure names (aliases allowed) to the codes in the source's files. ``image_pattern`` and
    ``label_pattern`` hold ``{case}``; ``table`` is a CSV with the columns image, label, patient. ``patient_pattern`` is a
    regular expression with one group, searched for in the case name. ``allow_missing`` leaves training images out whose
    label map is missing, where the layout promises one. ``patients``, ``test_patients``, ``frames``, ``preset`` and
    ``seed`` shape the phantom; ``frames`` ``None`` leaves their number to the phantom.
    """

    overwrite: bool = False
    workers: int = 0
    labels: Mapping[str, int] | None = None
    image_pattern: str | None = None
    label_pattern: str | None = None
    table: Path | None = None
    patient_pattern: str | None = None
    allow_missing: bool = False
    seed: int = 0
    patients: int = 20
    test_patients: int = 0
    frames: int | None = None
    preset: str = "default"


class Converter(Protocol):
    """Turns a source in one layout into a raw dataset; the source is only read."""

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> ConversionReport:
        """Write the raw dataset ``target``, whole or not at all, and return what was found.

        Raises ``DataError`` where ``source`` is not what the converter expects, ``WorkspaceError`` where ``target`` holds
        something and ``options.overwrite`` is not set.
        """
        ...


CONVERTERS: Registry[Converter] = Registry("kind of dataset", "autolv.datasets")
