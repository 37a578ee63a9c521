"""The paragraph on methods that a read-out's conventions make, to be pasted into a text."""

from __future__ import annotations

from autolv.readout.dictionary import DICTIONARY
from autolv.reporting._text import number
from autolv.schema.readout import Readout

_BASE = {
    "as_segmented": "all slices counted as segmented",
    "ring50": "basal slices were left out until at least half of the cavity's outline was bounded by myocardium",
    "valve_plane": "the ventricle was ended at the mitral valve plane given",
}
_PAPILLARY = {
    "in_cavity": "Papillary muscles were counted as part of the cavity",
    "in_mass": "Papillary muscles, found in the cavity by their signal, were counted as myocardium",
}
_SURFACE = {"mosteller": "Mosteller", "dubois": "DuBois and DuBois", "haycock": "Haycock"}


def methods_text(readout: Readout, version: str) -> str:
    """Return the paragraph; ``version`` is that of autolv."""
    method = readout.method
    made = f"Label maps were made by the model {readout.model}. " if readout.model else ""
    y_mm, x_mm = (number(value, 2) for value in method.pixel_mm)
    sentences = [
        f"{made}Ventricular volumes were computed with autolv {version} by summation of short-axis slices (pixels of {y_mm} x "
        f"{x_mm} mm, slices {number(method.slice_distance_mm, 1)} mm apart: {method.slice_distance_rule}); "
        f"{_BASE[method.basal_rule]}.",
        f"{_PAPILLARY[method.papillary_rule]}. Myocardial mass is the volume at end-diastole times "
        f"{method.density_g_per_ml:g} g/ml.",
        f"Phases: {method.phases_rule}.",
    ]
    if readout.curve is not None:
        harmonics = len(readout.curve.cosine_ml)
        sentences.append(
            f"The volume curve of {len(readout.curve.volume_ml)} frames was fitted by a periodic series of {harmonics} "
            f"harmonics; time: {method.time_rule}."
        )
    if (
        readout.quantities.get("body_surface_m2") is not None
        and readout.quantities["body_surface_m2"].value is not None
    ):
        sentences.append(f"Values were indexed to body surface area after {_SURFACE[method.bsa_formula]}.")
    if readout.orientation is not None:
        sentences.append(
            "Wall thickness was measured along rays from the cavity's centre in slices with a closed ring of myocardium and "
            "averaged over the segments of the American Heart Association (Cerqueira 2002), with the septum between the "
            f"right ventricle's insertions; orientation: {readout.orientation.turn_rule}."
        )
    if readout.normal:
        of = ", ".join(DICTIONARY[name].label for name in readout.normal)
        sources = "; ".join(dict.fromkeys(normal.source for normal in readout.normal.values()))
        sentences.append(f"Normal ranges ({of}): {sources}.")
    elif readout.normal_reason:
        sentences.append(f"No normal ranges are given: {readout.normal_reason}.")
    return " ".join(sentences)
