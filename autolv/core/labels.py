"""Structures go by name; the integer codes of a file are translated here and nowhere else.

Inside autolv a label array holds, for each voxel, 0 for background or 1 + the position of its structure in
``LabelSchema.structures``. That order is the same for every dataset (``STRUCTURES``), so a model trained on ACDC
(1 RV, 2 myocardium, 3 LV) and one trained on M&Ms (1 LV, 2 myocardium, 3 RV) mean the same thing by the same channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError

LV_CAVITY = "lv_cavity"
LV_MYOCARDIUM = "lv_myocardium"
RV_CAVITY = "rv_cavity"
STRUCTURES: tuple[str, ...] = (LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY)
_UNKNOWN = 255  # no channel's number

# names met in public datasets' dataset.json files and papers, in lower case with punctuation removed
_ALIASES: dict[str, str] = {
    **dict.fromkeys(
        ("lvcavity", "lv", "lvc", "lvbp", "lvpool", "lvbloodpool", "leftventricle", "leftventricularcavity",
         "lvendo", "lvendocardium", "leftventriclecavity", "endocardium", "lvedv"),
        LV_CAVITY,
    ),
    **dict.fromkeys(
        ("lvmyocardium", "myo", "myocardium", "lvm", "lvmyo", "mlv", "lvwall", "leftventricularmyocardium",
         "leftventriclemyocardium", "mlvc", "lvepi"),
        LV_MYOCARDIUM,
    ),
    **dict.fromkeys(
        ("rvcavity", "rv", "rvc", "rvbp", "rvpool", "rvbloodpool", "rightventricle", "rightventricularcavity",
         "rightventriclecavity", "rvendo"),
        RV_CAVITY,
    ),
}  # fmt: skip


def canonical_name(name: str) -> str | None:
    """Return the structure that ``name`` stands for (``"MYO"`` gives ``"lv_myocardium"``), or ``None``."""
    return _ALIASES.get("".join(c for c in name.lower() if c.isalnum()))


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """Which structures a dataset has, and by which integer code its files store each.

    ``codes`` maps structure names (of ``STRUCTURES``) to positive, distinct codes.
    """

    codes: Mapping[str, int]

    def __post_init__(self) -> None:
        unknown = [name for name in self.codes if name not in STRUCTURES]
        if unknown:
            raise DataError(
                f"unknown structure {unknown[0]!r} among the labels.", remedy=f"Use the names {', '.join(STRUCTURES)}."
            )
        if LV_CAVITY not in self.codes:
            raise DataError(
                f"the labels {dict(self.codes)} have no lv_cavity.",
                remedy="autolv segments the left ventricle; name the label of its cavity 'lv_cavity'.",
            )
        values = list(self.codes.values())
        if len(set(values)) != len(values) or min(values) < 1 or max(values) > 255:
            raise DataError(
                f"label codes must be distinct and between 1 and 255, got {dict(self.codes)}.",
                remedy="Give each structure its own code; 0 is the background.",
            )

    @classmethod
    def from_names(cls, labels: Mapping[str, int]) -> LabelSchema:
        """Return the schema of a ``dataset.json``'s ``labels``: names in common use are recognised."""
        codes: dict[str, int] = {}
        for name, code in labels.items():
            if code == 0 or name.lower() == "background":
                continue
            structure = canonical_name(name)
            if structure is None:
                raise DataError(
                    f"label {name!r} (code {code}) is not a structure that autolv knows.",
                    remedy=f"In dataset.json name the labels {', '.join(STRUCTURES)}.",
                )
            if structure in codes:
                raise DataError(
                    f"two labels mean {structure}: codes {codes[structure]} and {code}.",
                    remedy="Merge them, or name them differently in dataset.json.",
                )
            codes[structure] = int(code)
        return cls({name: codes[name] for name in STRUCTURES if name in codes})

    @property
    def structures(self) -> tuple[str, ...]:
        """The structures present, in the one order that channels have everywhere."""
        return tuple(name for name in STRUCTURES if name in self.codes)

    def to_internal(self, array: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return a file's label array with channel numbers (0 background, 1 + position in ``structures``).

        Raises ``DataError`` for a code that the schema does not name, with the number of its voxels.
        """
        table = np.full(256, _UNKNOWN, dtype=np.uint8)
        table[0] = 0
        for channel, name in enumerate(self.structures, start=1):
            table[self.codes[name]] = channel
        if array.dtype != np.uint8:
            self._refuse_unknown(array)  # the table is for bytes
        result: NDArray[np.uint8] = np.take(table, np.asarray(array).astype(np.uint8, copy=False))
        if result.size and result.max() == _UNKNOWN:
            self._refuse_unknown(array)
        return result

    def _refuse_unknown(self, array: NDArray[np.generic]) -> None:
        present, counts = np.unique(array, return_counts=True)
        known = {0, *self.codes.values()}
        for value, count in zip(present.tolist(), counts.tolist(), strict=True):
            if value not in known:
                raise DataError(
                    f"unexpected label value {value} in {count} voxels; known are {sorted(known)}.",
                    remedy="Correct the label map, or the labels in dataset.json.",
                )

    def to_file(self, array: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return channel numbers as the file's codes: the inverse of ``to_internal``."""
        table = np.zeros(len(self.structures) + 1, dtype=np.uint8)
        for channel, name in enumerate(self.structures, start=1):
            table[channel] = self.codes[name]
        return table[np.asarray(array)]
