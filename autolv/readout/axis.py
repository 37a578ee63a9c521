"""Which end of a short-axis stack is the base, found from the labels and never from the order of slices."""

from __future__ import annotations

import numpy as np

from autolv.readout.masks import Masks

_SURE = 0.02  # of the LV's length: how far off its middle the labelled area's centre must lie
FEWEST_SLICES = 3


def base_is_first(masks: Masks) -> bool | None:
    """Return whether slice 0 lies at the base's end of the stack; ``None`` where the labels do not tell.

    The heart tapers to the apex and the right ventricle ends before it, so the centre of the labelled area along the stack
    lies on the basal side of the middle of the slices that hold the LV.
    """
    slices = np.flatnonzero(masks.lv.any(axis=(1, 2)))
    if len(slices) < FEWEST_SLICES:
        return None
    labelled = masks.lv if masks.rv is None else masks.lv | masks.rv
    area = np.count_nonzero(labelled, axis=(1, 2))[slices[0] : slices[-1] + 1]
    places = np.linspace(-0.5, 0.5, len(area))
    centre = float(area @ places) / int(area.sum())
    return None if abs(centre) < _SURE else centre < 0
