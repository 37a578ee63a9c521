"""Phantom patients written in the ACDC challenge's layout, with ``truth.json`` beside ``Info.cfg``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Volume
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY, STRUCTURES
from autolv.datasets._phantom import Phantom, make_phantom
from autolv.datasets._phantom_groups import GROUPS
from autolv.datasets._phantom_setting import PhantomSpec
from autolv.imageio.volumes import write_image, write_labels
from autolv.parallel import run_each
from autolv.schema.record import write_record, write_text

ACDC_CODES: Mapping[str, int] = {RV_CAVITY: 1, LV_MYOCARDIUM: 2, LV_CAVITY: 3}
MNMS_CODES: Mapping[str, int] = {LV_CAVITY: 1, LV_MYOCARDIUM: 2, RV_CAVITY: 3}
MIXED = "mixed"  # one vendor after the other
_VENDORS = ("vendor_a", "vendor_b", "vendor_c", "vendor_d")


def write_acdc_tree(
    folder: Path,
    *,
    patients: int,
    test_patients: int = 0,
    seed: int = 0,
    preset: str = "default",
    frames: int = 25,
    spec: PhantomSpec | None = None,
    groups: Sequence[str] = tuple(GROUPS),
    codes: Mapping[str, int] = ACDC_CODES,
    cines: bool = True,
    workers: int = 0,
) -> None:
    """Write ``patients`` phantoms below ``folder/training`` and ``test_patients`` below ``folder/testing``.

    Groups follow one another in turn; ``preset`` ``"mixed"`` takes vendors in turn. ``spec`` gives everything else.
    ``codes`` are those of the label files, for the structures of ``spec``; without ``cines`` only ED and ES are rendered.
    """
    template = replace(spec or PhantomSpec(), frames=frames)
    numbers = [(n, "training" if n <= patients else "testing") for n in range(1, patients + test_patients + 1)]

    def one(item: tuple[int, str]) -> None:
        number, half = item
        chosen = _VENDORS[(number - 1) % len(_VENDORS)] if preset == MIXED else preset
        wanted = replace(template, group=groups[(number - 1) % len(groups)], preset=chosen)
        phantom = make_phantom(np.random.default_rng([seed, number]), wanted, frames=None if cines else "ends")
        write_patient(folder / half / f"patient{number:03d}", phantom, codes=codes)

    run_each(one, numbers, name=lambda item: f"patient{item[0]:03d}", label="phantoms", workers=workers)


def write_patient(folder: Path, phantom: Phantom, *, codes: Mapping[str, int] = ACDC_CODES) -> None:
    """Write one phantom as a patient folder, named like ``folder``: Info.cfg, cine, ED and ES with labels, truth.json.

    The cine is written where all frames were rendered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth, name = phantom.truth, folder.name
    lines = {
        "ED": truth.ed_frame, "ES": truth.es_frame, "Group": truth.group, "Height": f"{truth.height_cm:.1f}",
        "NbFrame": truth.frames, "Weight": f"{truth.weight_kg:.1f}",
    }  # fmt: skip
    if truth.preset in _VENDORS:
        lines["Vendor"] = truth.preset.removeprefix("vendor_").upper()
    write_text(folder / "Info.cfg", "".join(f"{key}: {value}\n" for key, value in lines.items()))
    if len(phantom.frames) == truth.frames:
        cine = Volume(array=phantom.image, geometry=phantom.geometry, frame_time_ms=phantom.frame_time_ms)
        write_image(folder / f"{name}_4d.nii.gz", cine, dtype="int16")
    for number in sorted({truth.ed_frame, truth.es_frame}):
        index = phantom.frames.index(number - 1)
        stem = f"{name}_frame{number:02d}"
        image = folder / f"{stem}.nii.gz"
        write_image(image, Volume(array=phantom.image[index], geometry=phantom.geometry), dtype="int16")
        labels = _in_codes(phantom.labels[index], truth.structures, codes)
        write_labels(folder / f"{stem}_gt.nii.gz", labels, like=image)
    write_record(truth, folder / "truth.json")


def _in_codes(labels: NDArray[np.uint8], structures: Sequence[str], codes: Mapping[str, int]) -> NDArray[np.uint8]:
    ordered = [name for name in STRUCTURES if name in structures]
    return np.array([0, *(codes[name] for name in ordered)], dtype=np.uint8)[labels]
