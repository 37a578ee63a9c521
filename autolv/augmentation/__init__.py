"""Training augmentation of whole batches: parameters are drawn by a seeded generator, apart from their application."""

from autolv.augmentation._apply import apply
from autolv.augmentation._parameters import Parameters, draw
from autolv.augmentation._preset import PRESETS, Chance, Preset
from autolv.augmentation._spatial import oversize

__all__ = ["PRESETS", "Chance", "Parameters", "Preset", "apply", "draw", "oversize"]
