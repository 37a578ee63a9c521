"""One frame by all members of a model: they share the preprocessed image and the place of the heart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from autolv.core.geometry import Geometry, Volume
from autolv.inference.ensemble import RunningMean
from autolv.inference.locate import Found
from autolv.inference.mean_of_logits import mean_of_logits
from autolv.inference.windows import Logits, SlidingWindows
from autolv.preprocessing.forward import preprocess_image
from autolv.preprocessing.inverse import foreground_box, restore_part
from autolv.preprocessing.nnunet import preprocess_for_nnunet, restore_from_nnunet
from autolv.schema.plan import Configuration, NnunetConventions, Preprocessing
from autolv.schema.preprocessed import Box, Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemberNetwork:
    """A member with its network ready to run; ``weight`` is its share in the mean.

    ``folds`` are more than one where nnU-Net has trained them: their logits are averaged before anything else is done.
    """

    folds: tuple[SlidingWindows, ...]
    block: Preprocessing
    nnunet: NnunetConventions | None
    dimensions: int
    weight: float

    @classmethod
    def of(
        cls,
        networks: Sequence[torch.nn.Module],
        configuration: Configuration,
        *,
        weight: float = 1.0,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        channels_last: bool = False,
        mirror_axes: tuple[int, ...] = (),
    ) -> MemberNetwork:
        """Return the member of a network of ``configuration``, or of several folds of one that nnU-Net has trained.

        The other arguments are those of ``SlidingWindows``. Raises ``ValueError`` for no network, or for several of our own.
        """
        if len(networks) != 1 and (configuration.nnunet is None or not networks):
            raise ValueError(f"expected one network, or folds of nnU-Net's, got {len(networks)}")
        folds = tuple(
            SlidingWindows(
                network,
                configuration.network,
                device=device,
                precision=precision,
                channels_last=channels_last,
                mirror_axes=mirror_axes,
                in_half=configuration.nnunet is not None,
            )
            for network in networks
        )
        return cls(
            folds=folds,
            block=configuration.preprocessing,
            nnunet=configuration.nnunet,
            dimensions=configuration.network.dimensions,
            weight=weight,
        )

    @property
    def windows(self) -> SlidingWindows:
        """Those of the only network, or of the first fold."""
        return self.folds[0]

    def whole_field(self, image: NDArray[np.float32]) -> Logits:
        """Return the logits of all of a preprocessed ``image``, by all folds."""
        return mean_of_logits(fold.whole_field(image) for fold in self.folds)


Part = tuple[NDArray[np.float32], Box]


def mean_of_members(
    members: Sequence[MemberNetwork], frame: Volume, *, locate: bool, whole: bool,
    seen: Callable[[int, Part], None] | None = None,
) -> RunningMean:  # fmt: skip
    """Return the members' mean probabilities on the own grid of a ``frame``, where they are not sure of background.

    With ``locate`` the heart is looked for once, by the first member of a 2D network (of a 3D one where there is no
    other), and each member predicts by one window about it. Where the place is not sure all predict the whole field, and so
    does a member alone to whose window the heart does not fit. If not the ``whole`` is wanted but labels alone, a single
    network's output is brought back only where they may be others than background. ``seen`` is told each member's
    number and its part before that is changed.
    """
    if not members:
        raise ValueError("a prediction needs at least one member")
    finder = min(members, key=lambda member: member.dimensions)  # a 2D network looks at a few slices, a 3D one at all
    shared = _SharedFrame(frame, finder)
    cut = len(members) == 1 and not whole

    def part_of(number: int) -> Part:  # no name holds a part on after it has gone into the mean
        part = _part(members[number], shared, locate=locate, cut=cut)
        if seen is not None:
            seen(number, part)
        return part

    mean = RunningMean(*part_of(0), members[0].weight)
    for number in range(1, len(members)):
        mean.add(*part_of(number), members[number].weight)
    return mean


def _part(member: MemberNetwork, shared: _SharedFrame, *, locate: bool, cut: bool) -> Part:
    """Return a member's probabilities on the frame's own grid, and the box in which it is not sure of background.

    With ``cut`` what is certain to be labelled background may be left out too.
    """
    image, grid = shared.image(member)
    logits = None
    if locate and member.nnunet is None and not member.windows.fits_one_window(image.shape):
        found = shared.heart(grid)
        logits = None if found is None else member.windows.about_heart(image, found)
    if logits is None:
        whole_field = member.whole_field(image)
        logits = _foreground(whole_field) if cut else whole_field
    if member.nnunet is not None:
        return restore_from_nnunet(logits.array, logits.box, grid, shared.geometry, member.nnunet)
    return restore_part(logits.array, logits.box, grid)


@final
class _SharedFrame:
    """What members have in common in one frame, each made when it is first asked for."""

    def __init__(self, frame: Volume, finder: MemberNetwork) -> None:
        self._frame, self._finder = frame, finder
        self._images: dict[tuple[str, str], tuple[NDArray[np.float32], Grid]] = {}
        self._sought = False
        self._found: Found | None = None

    @property
    def geometry(self) -> Geometry:
        """The frame's own."""
        return self._frame.geometry

    def image(self, member: MemberNetwork) -> tuple[NDArray[np.float32], Grid]:
        """Return the preprocessed frame: configurations that preprocess alike share it."""
        block, nnunet = member.block, member.nnunet
        key = block.content_hash(), "" if nnunet is None else nnunet.content_hash()
        if key not in self._images:
            self._images[key] = (
                preprocess_image(self._frame, block)
                if nnunet is None
                else preprocess_for_nnunet(self._frame, block, nnunet)
            )
        return self._images[key]

    def heart(self, grid: Grid) -> Found | None:
        """Return where the heart lies on ``grid``, ``None`` where it is not sure."""
        image, here = self.image(self._finder)
        if not self._sought:
            self._found, self._sought = self._finder.windows.find_heart(image), True
        return None if self._found is None else self._found.on(grid, here)


def _foreground(logits: Logits) -> Logits:
    """Return that part of a whole field from which all labels can be told."""
    z, y, x = box = foreground_box(logits.array)
    return Logits(array=logits.array[:, slice(*z), slice(*y), slice(*x)], box=box)
