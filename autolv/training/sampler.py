"""Batches for a training iteration, each a pure function of (seed, fold, iteration): resuming needs no loader state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from numpy.typing import NDArray

from autolv.augmentation import Parameters, apply, draw, oversize
from autolv.core.errors import TrainingError
from autolv.schema.plan import Network, Training
from autolv.schema.preprocessed import Box
from autolv.training.pool import Pool, Triple

_MONITOR_SLICES = 36  # enough for a Dice that follows the training, at about one per cent of an epoch's time
_MONITOR_VOLUMES = 4
_PARTS = "image", "labels"
_MOST_SAMPLES, _MOST_VOXELS = 256, 2**25  # of the windows that a GPU augments at once: 128 MB as float32
_GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples less their whole parts fill [0, 1) evenly, however many there are


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingCase:
    """A preprocessed case in memory, or mapped into it: ``image`` float32 and ``labels`` uint8, both (z, y, x).

    ``known`` tells which classes are annotated, the background first; ``None``: all. ``put_back`` is called whenever a window
    has been copied: what is mapped need not stay in memory until the next time.
    """

    case: str
    patient: str
    image: torch.Tensor
    labels: torch.Tensor
    heart_box: Box | None
    known: tuple[bool, ...] | None = None
    put_back: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """``images`` (n, channels, *patch) float32, ``labels`` (n, *patch) int64, and the cases they came from.

    ``known`` (n, classes) bool tells which classes are annotated in each sample; ``None``: all in all.
    """

    images: torch.Tensor
    labels: torch.Tensor
    cases: tuple[str, ...]
    known: torch.Tensor | None = None


def parts_of(batch: Batch, parts: int) -> list[Batch]:
    """Return ``batch`` divided into ``parts``, as even as can be, the larger ones first."""
    known = [None] * parts if batch.known is None else batch.known.tensor_split(parts)
    pieces = zip(batch.images.tensor_split(parts), batch.labels.tensor_split(parts), known, strict=True)
    names = iter(batch.cases)
    return [
        Batch(images=images, labels=labels, cases=tuple(islice(names, len(images))), known=own)
        for images, labels, own in pieces
    ]


def pinned(batch: Batch) -> Batch:
    """Return ``batch`` in pinned memory, from which a GPU copies while the host goes on; as it is where it lies on one."""
    if batch.images.device.type != "cpu":
        return batch
    return Batch(
        images=batch.images.pin_memory(),
        labels=batch.labels.pin_memory(),
        cases=batch.cases,
        known=None if batch.known is None else batch.known.pin_memory(),
    )


class Sampler:
    """Draws patches from cases in memory: every slice (2D) or case (3D) once per pass, in a new order each pass.

    A class that is annotated in none of the cases counts as absent from all: nothing would teach a network to tell it from
    the background, and it would be predicted anywhere.

    ``share`` (rank, of how many): which part of each batch is made, where several processes train on one batch.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        network: Network,
        training: Training,
        *,
        seed: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if not cases:
            raise ValueError("a sampler needs at least one case")
        rank, ranks = share
        if ranks > training.batch_size:
            raise TrainingError(
                f"{ranks} processes cannot share batches of {training.batch_size} samples.",
                remedy=f"Start at most {training.batch_size} with --nproc-per-node.",
            )
        self._share = training.batch_size * rank // ranks, training.batch_size * (rank + 1) // ranks
        self._cases = _unseen_as_absent(cases)
        self._patch = network.patch
        self._beside = network.neighbours
        self._training = training
        self._seed = seed
        self._gather = oversize(network.patch, training.augmentation)
        if network.dimensions == 2:
            items = [(c, z) for c, case in enumerate(cases) for z in range(case.image.shape[0])]
        else:
            items = [(c, -1) for c in range(len(cases))]
        self._items = items
        on_cpu = self._cases[0].image.device.type == "cpu"
        self._pools = None if on_cpu else tuple(Pool([getattr(c, part) for c in self._cases]) for part in _PARTS)
        self._together = 1 if on_cpu else _made_together(training.batch_size, math.prod(self._gather))
        self._made: tuple[int, list[Batch]] = (-1, [])  # the number of a group of iterations, and their batches
        self._order = lru_cache(maxsize=4)(self._order_of_pass)

    def __len__(self) -> int:
        """The number of slices (2D) or volumes (3D) in a pass over the data."""
        return len(self._items)

    def batch(self, iteration: int) -> Batch:
        """Return the augmented batch of ``iteration`` (0-based), or the share of it; all that is random is drawn for all."""
        group, member = divmod(iteration, self._together)
        if self._made[0] != group:
            self._made = group, self._make(range(group * self._together, (group + 1) * self._together))
        return self._made[1][member]

    def _make(self, iterations: Sequence[int]) -> list[Batch]:
        """Return the batches of ``iterations``, all augmented at once: each sample as it would be by itself."""
        drawn = [self._draw(iteration) for iteration in iterations]
        images, labels = self._gathered([place for places, _ in drawn for place in places])  # (n, z, Y, X)
        if len(self._patch) == 2:
            labels = labels[:, 0]  # (n, Y, X); the image's z, its neighbouring slices, serves as its channels
        else:
            images = images[:, None]  # (n, 1, z, Y, X)
        images, labels = apply(images, labels, Parameters.joined([rows for _, rows in drawn]), self._patch)
        per_batch = self._share[1] - self._share[0]
        pieces = zip(drawn, torch.split(images, per_batch), torch.split(labels.long(), per_batch), strict=True)
        return [self._batch([self._cases[number] for number, _ in places], *pair) for (places, _), *pair in pieces]

    @staticmethod
    def _batch(cases: Sequence[TrainingCase], images: torch.Tensor, labels: torch.Tensor) -> Batch:
        names = tuple(case.case for case in cases)
        return Batch(images=images, labels=labels, cases=names, known=known_classes(cases))

    def _draw(self, iteration: int) -> tuple[list[tuple[int, Triple]], Parameters]:
        """Return the case and the start of each sample of the share of an iteration, and how it is augmented."""
        rng = np.random.default_rng([self._seed, 1, iteration])
        n = self._training.batch_size
        first, last = self._share
        places = []
        for index, position in enumerate(range(iteration * n, (iteration + 1) * n)):
            number, z = self._items[self._order(position // len(self._items))[position % len(self._items)]]
            start = self._start(self._cases[number], z, rng)
            if first <= index < last:
                places.append((number, start))
        parameters = draw(self._training.augmentation, n, rng, mirror=self._training.mirror)
        return places, parameters.rows(first, last)

    def _gathered(self, places: Sequence[tuple[int, Triple]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows of images, with their neighbouring slices, and of labels that begin at ``places``."""
        size = self._gather_3d
        if self._pools is None:
            return _windows([(self._cases[number], start) for number, start in places], size, self._beside)
        numbers, starts = [number for number, _ in places], [start for _, start in places]
        wider = [(z - self._beside, y, x) for z, y, x in starts]
        images_of, labels_of = self._pools
        deeper = (size[0] + 2 * self._beside, *size[1:])
        return images_of.windows(numbers, wider, deeper), labels_of.windows(numbers, starts, size)

    @property
    def _gather_3d(self) -> Triple:
        size = self._gather if len(self._gather) == 3 else (1, *self._gather)
        return size[0], size[1], size[2]

    def _order_of_pass(self, number: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, 2, number]).permutation(len(self._items))

    def _start(self, case: TrainingCase, z: int, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return where the gathered window of a case begins (it may reach beyond the image)."""
        about_heart = bool(rng.random() < self._training.heart_fraction) and case.heart_box is not None
        in_plane = []
        for axis in (1, 2):
            size, patch = case.image.shape[axis], self._patch[axis - 3]
            if about_heart and case.heart_box is not None:
                low, high = case.heart_box[axis]
                # windows half a patch apart bring the heart to within a quarter of a patch of some window's centre
                centre = (low + high) / 2 + rng.uniform(-0.25, 0.25) * patch
            else:
                margin = min(patch, size) / 2
                centre = rng.uniform(margin, size - margin)
            in_plane.append(round(centre - self._gather[axis - 3] / 2))
        if z < 0:
            slices, patch_z = case.image.shape[0], self._patch[0]
            spare = slices - patch_z
            z = int(rng.integers(0, spare + 1)) if spare > 0 else -((-spare) // 2)
        return z, in_plane[0], in_plane[1]


def _made_together(batch_size: int, voxels: int) -> int:
    """Return how many batches are augmented at once on a GPU, whose host takes as long to launch one as to launch many."""
    return max(1, min(_MOST_SAMPLES // batch_size, _MOST_VOXELS // (batch_size * voxels)))


def never_annotated(cases: Sequence[TrainingCase]) -> tuple[int, ...]:
    """Return the classes that are annotated in none of ``cases``."""
    known = [case.known for case in cases]
    if any(row is None for row in known):
        return ()
    return tuple(number for number, column in enumerate(zip(*filter(None, known), strict=True)) if not any(column))


def _unseen_as_absent(cases: Sequence[TrainingCase]) -> tuple[TrainingCase, ...]:
    unseen = never_annotated(cases)
    if not unseen:
        return tuple(cases)
    rows = [tuple(known or number in unseen for number, known in enumerate(case.known or ())) for case in cases]
    return tuple(replace(case, known=None if all(row) else row) for case, row in zip(cases, rows, strict=True))


def known_classes(cases: Sequence[TrainingCase]) -> torch.Tensor | None:
    """Return which classes are annotated in each of ``cases``, (n, classes) bool, ``None`` where all are in all."""
    partial = [case.known for case in cases if case.known is not None]
    if not partial:
        return None
    return torch.tensor([case.known or (True,) * len(partial[0]) for case in cases])


def gather(array: torch.Tensor, start: tuple[int, int, int], size: tuple[int, int, int]) -> torch.Tensor:
    """Return the window of ``size`` that begins at ``start`` of a (z, y, x) array, zero where it lies outside.

    Zero is the image's mean after normalisation and the background among labels.
    """
    box = [[begin, begin + length] for begin, length in zip(start, size, strict=True)]
    window: torch.Tensor = crop_and_pad_nd(array, box)
    return window


def gather_with_neighbours(image: torch.Tensor, start: Triple, size: Triple, neighbours: int) -> torch.Tensor:
    """Return the window of ``size`` at ``start`` with ``neighbours`` more slices on either side."""
    return gather(image, (start[0] - neighbours, *start[1:]), (size[0] + 2 * neighbours, *size[1:]))


def _windows(
    places: Sequence[tuple[TrainingCase, Triple]], size: Triple, neighbours: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return copies of windows of images, with their neighbouring slices, and of labels, (n, *size), and put back the rest."""
    images = torch.stack([gather_with_neighbours(case.image, start, size, neighbours) for case, start in places])
    labels = torch.stack([gather(case.labels, start, size) for case, start in places])
    for case, _ in places:
        case.put_back()
    return images, labels


def monitor_patches(cases: Sequence[TrainingCase], network: Network) -> list[Batch]:
    """Return a fixed set of unaugmented patches about the hearts of ``cases``, to watch a run by.

    2D: slices that hold labels, spread from one end of the heart to the other over the cases; 3D: whole stacks. One
    batch per case.
    """
    labelled = [case for case in cases if case.heart_box is not None]
    flat = network.dimensions == 2
    wanted = _MONITOR_SLICES if flat else _MONITOR_VOLUMES
    size = (1, *network.patch) if flat else network.patch
    per_case = max(1, wanted // max(1, len(labelled))) if flat else 1
    step = max(1, len(labelled) // (wanted // per_case)) if labelled else 1
    batches = []
    for number, case in enumerate(labelled[::step]):
        box = case.heart_box or ((0, 1), (0, 1), (0, 1))
        if flat:
            depths = _spread(box[0], min(per_case, box[0][1] - box[0][0]), number)
        else:
            depths = [round((box[0][0] + box[0][1] - size[0]) / 2)]
        corners = [(z, *(round((low + high - s) / 2) for (low, high), s in zip(box[1:], size[1:], strict=True)))
                   for z in depths]  # fmt: skip
        triple = (size[0], size[1], size[2])
        images, labels = _windows([(case, (c[0], c[1], c[2])) for c in corners], triple, network.neighbours)
        batches.append(Batch(
            images=images if flat else images[:, None],  # (n, channels, y, x) or (n, 1, z, y, x)
            labels=(labels[:, 0] if flat else labels).long(), cases=(case.case,) * len(corners),
            known=known_classes((case,) * len(corners)),
        ))  # fmt: skip
    return batches


def _spread(extent: tuple[int, int], count: int, number: int) -> list[int]:
    """Return ``count`` evenly spaced slices of ``extent``, begun at another place for each ``number``."""
    low, high = extent
    shares = (((number * _GOLDEN) % 1.0 + index) / count for index in range(count))
    return sorted({low + int((high - low) * share) for share in shares})
