"""Cases through reading, network and writing at once: a thread reads ahead, another writes behind, frame by frame.

A case that fails in one stage is passed over by the others and tells why; the rest go on. Memory holds a few frames.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from autolv.core.errors import AutolvError, DataError
from autolv.core.geometry import Volume
from autolv.core.labels import LabelSchema
from autolv.imageio.frames import ImageFile, LabelFile, ProbabilityFile
from autolv.imageio.volumes import file_hash
from autolv.inference.arrays import Prediction
from autolv.inference.predictor import Predictor
from autolv.pipeline.finished import Making, forget
from autolv.pipeline.inputs import Input
from autolv.pipeline.interrupt import stop_if
from autolv.pipeline.overlap import Behind, ahead
from autolv.runtime.memory import is_out_of_memory, release_cached
from autolv.schema.predicted_quality import ExpectedQuality
from autolv.schema.results import PredictionStatus

_log = logging.getLogger(__name__)
_DEPTH = 2  # frames that lie ready for the network, and that wait to be written


def predict_each(
    predictor: Predictor,
    making: Making,
    inputs: Sequence[Input],
    *,
    done: Callable[[Input, PredictionStatus], None],
    asked_to_stop: Callable[[], bool],
) -> None:
    """Predict the ``inputs`` one after the other, write their results, and tell what became of each by ``done``.

    What goes wrong with one is told in its status and does not reach the others. When it is ``asked_to_stop``, what is on
    its way to the disk still gets there, a cine that is not at its end leaves nothing, and ``Interrupted`` is raised.
    """
    schema = LabelSchema(predictor.best.labels)
    cases = [_Case(making, item, schema, predictor, done) for item in inputs]
    events = ahead(_frames(cases), depth=_DEPTH)
    try:
        with Behind(depth=_DEPTH) as writer:
            for case, number, frame in events:
                stop_if(asked_to_stop, case.item.name)
                if frame is None:
                    writer.do(case.finish)
                elif not case.failed and (call := _predicted(predictor, case, number, frame)) is not None:
                    writer.do(call)
    finally:
        events.close()  # type: ignore[attr-defined]
        for case in cases:
            case.drop()


def _frames(cases: Sequence[_Case]) -> Iterator[tuple[_Case, int, NDArray[np.float32] | None]]:
    """Yield all frames of all cases with their numbers, and, after the last of each, ``None`` in place of one."""
    for case in cases:
        try:
            for number, frame in zip(case.open(), case.each(), strict=True):
                if case.failed:
                    break
                yield case, number, frame
        except Exception as error:  # noqa: BLE001 - the last resort: also a fault of ours must not stop the others
            case.fail(error)
        yield case, 0, None


def _predicted(predictor: Predictor, case: _Case, number: int, frame: NDArray[np.float32]) -> Callable[[], None] | None:
    """Return what writes a frame's labels; ``None`` where the network fails, which the case then tells."""
    try:
        case.begin()
        if not np.isfinite(frame).all():
            raise AutolvError("the image holds values that are not finite.", remedy="Replace them.")
        volume = Volume(array=frame, geometry=case.file.geometry)
        found = predictor.predict(volume, probabilities=case.making.options.save_probabilities)
    except Exception as error:  # noqa: BLE001 - as above
        case.fail(error, number)
        memory = is_out_of_memory(error)
    else:
        return lambda: case.write(found)
    if memory:
        release_cached(predictor.device)  # outside the handler, whose traceback holds on to the activations
    return None


@final
class _Case:
    """One input on its way: what a stage finds out and a later one needs, and its files in the making."""

    def __init__(
        self,
        making: Making,
        item: Input,
        schema: LabelSchema,
        predictor: Predictor,
        done: Callable[[Input, PredictionStatus], None],
    ) -> None:
        self.item, self.making = item, making
        self.file: ImageFile
        self._schema, self._device, self._done = schema, predictor.device, done
        self._quality = predictor.best.quality
        self._numbers: Sequence[int] = ()
        self._begun: float | None = None
        self._message: str | None = None
        self._input_sha256 = ""
        self._labels: LabelFile | None = None
        self._probabilities: ProbabilityFile | None = None
        self._voxels: list[NDArray[np.int64]] = []  # per frame: how many voxels each class has
        self._expected: list[dict[str, float]] = []  # per frame, where the model tells it: structure -> Dice

    @property
    def failed(self) -> bool:
        """Whether a stage has given it up."""
        return self._message is not None

    def open(self) -> Sequence[int]:
        """Open the image and return the numbers, from 0, of the frames that are to be predicted."""
        self._input_sha256 = file_hash(self.item.path)
        self.file = ImageFile(self.item.path)
        asked = self.making.options.frame_numbers
        if asked is not None and asked[-1] > self.file.frames:
            raise DataError(
                f"frame {asked[-1]} was asked for, it has {self.file.frames}.", remedy="Give others with --frames."
            )
        self._numbers = range(self.file.frames) if asked is None else [number - 1 for number in asked]
        return self._numbers

    def each(self) -> Iterator[NDArray[np.float32]]:
        """Yield the frames, (z, y, x)."""
        return self.file.each(self._numbers)

    def begin(self) -> None:
        """Note the time at which the network first sees it."""
        if self._begun is None:
            self._begun = time.monotonic()

    def fail(self, error: Exception, number: int | None = None) -> None:
        """Note the first thing that went wrong, with the cine's frame where it did."""
        _log.debug("%s failed here:", self.item.path, exc_info=True)
        if self._message is None:
            where = "" if number is None or not self.file.is_cine else f"frame {number + 1} of {self.file.frames}: "
            self._message = where + _reason(error, self._device)

    def write(self, found: Prediction) -> None:
        """Append a frame's labels, (z, y, x), and probabilities to the files in the making."""
        if self.failed:
            return
        labels, probabilities = found.labels, found.probabilities
        try:
            if self._labels is None:
                count = len(self._numbers) if self.file.is_cine else None
                self._labels = LabelFile(self.making.result(self.item), like=self.item.path, frames=count)
                if probabilities is not None:
                    names = ["background", *self._schema.structures]
                    path = self.making.probabilities(self.item)
                    self._probabilities = ProbabilityFile(path, names, labels.shape, frames=count)
            self._labels.add(self._schema.to_file(labels))
            self._expected.extend(found.expected_dice or ())
            self._voxels.append(np.bincount(labels.ravel(), minlength=1 + len(self._schema.structures)))
            if self._probabilities is not None and probabilities is not None:
                self._probabilities.add(probabilities)
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(error)

    def finish(self) -> None:
        """Put the results where they belong, their record just before, and tell what became of the case."""
        try:
            if not self.failed and self._labels is not None:
                output_sha256 = self._labels.finish()
                status = self._status()
                forget(self.making, self.item)
                if self._probabilities is not None:
                    self._probabilities.place()
                self.making.record(
                    self.item, input_sha256=self._input_sha256, output_sha256=output_sha256, status=status
                )
                self._labels.place()
                self._done(self.item, status)
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(error)
        self.drop()
        if self.failed:
            forget(self.making, self.item)
            message = self._message or ""
            self._done(self.item, PredictionStatus(input=self.item.name, output=None, status="failed", message=message))

    def drop(self) -> None:
        """Leave nothing half-written behind."""
        for file in (self._labels, self._probabilities):
            if file is not None:
                file.drop()
        self._labels = self._probabilities = None  # of thousands of cases nothing large is kept

    def _status(self) -> PredictionStatus:
        voxel_ml = self.file.geometry.voxel_ml
        volumes = {
            name: tuple(round(float(count[channel]) * voxel_ml, 3) for count in self._voxels)
            for channel, name in enumerate(self._schema.structures, start=1)
        }
        empty = not any(count[1:].any() for count in self._voxels)
        asked = self.making.options.frame_numbers
        return PredictionStatus(
            input=self.item.name,
            output=self.item.result,
            status="empty" if empty else "done",
            message="no structure was found: look at the image" if empty else "",
            frames=len(self._voxels),
            frame_numbers=() if asked is None or not self.file.is_cine else asked,
            seconds=round(time.monotonic() - (self._begun or time.monotonic()), 3),
            volumes_ml=volumes,
            expected=self._expectation(),
        )

    def _expectation(self) -> ExpectedQuality | None:
        if self._quality is None or not self._expected:
            return None
        dice = {
            name: tuple(round(frame.get(name, math.nan), 4) for frame in self._expected) for name in self._quality.dice
        }
        factors = {name: one.factor for name, one in self._quality.intervals.items()}
        return ExpectedQuality(dice=dice, level=self._quality.level, factors=factors)


def _reason(error: Exception, device: torch.device) -> str:
    """Return what went wrong in a sentence or two."""
    if isinstance(error, AutolvError):
        return str(error)
    if is_out_of_memory(error):
        elsewhere = "" if device.type == "cpu" else ", or compute with --device cpu"
        return f"it does not fit the memory of {device}. Close what else uses that memory{elsewhere}."
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
