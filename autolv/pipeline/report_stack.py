"""The label maps and images of one patient, read and put together by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry
from autolv.core.labels import LabelSchema
from autolv.imageio.volumes import read_image, read_labels
from autolv.pipeline.report_inputs import LabelFile, Subject
from autolv.pipeline.report_quality import FrameDice, frame_dice
from autolv.readout.curve import FEWEST_FRAMES

_SPACING_TOLERANCE = 1e-3  # relative, between frames of one patient


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """One patient's label maps and images by frame (from 1), on one grid."""

    labels: Mapping[int, NDArray[np.uint8]]
    images: Mapping[int, NDArray[np.generic]]
    geometry: Geometry
    frame_time_ms: float | None
    whole_cycle: bool
    ed_frame: int | None
    es_frame: int | None
    counted_by_files: bool
    expected_dice: FrameDice


def read_stack(subject: Subject, schema: LabelSchema, *, ed_frame: int | None, es_frame: int | None) -> Stack:
    """Return the label maps and images of a patient; ``DataError`` where they do not fit together."""
    first = read_labels(subject.files[0].path)
    if first.is_cine:
        file = subject.files[0]
        labels = schema.to_internal(first.array)
        chosen = () if file.status is None else file.status.frame_numbers  # of a cine, where not all were predicted
        frames = dict(zip(chosen or range(1, len(labels) + 1), labels, strict=True))
        image = _image(file, first.geometry, len(frames), chosen)
        return Stack(
            labels=frames, images={} if image is None else dict(zip(frames, image, strict=True)), geometry=first.geometry,
            frame_time_ms=None if chosen else first.frame_time_ms, whole_cycle=not chosen, ed_frame=ed_frame, es_frame=es_frame,
            counted_by_files=False,
            expected_dice=frame_dice([file], [list(frames)], frames, schema.structures, first.geometry.voxel_ml),
        )  # fmt: skip
    numbers, known = _numbers(subject.files)
    frames, images = {}, {}
    for number, file in sorted(zip(numbers, subject.files, strict=True), key=lambda pair: pair[0]):
        volume = read_labels(file.path)
        check_grid(file, volume.geometry, first.geometry, "another frame of the patient")
        frames[number] = schema.to_internal(volume.array)
        image = _image(file, first.geometry, 1)
        if image is not None:
            images[number] = image[0]
    expected = frame_dice(
        subject.files, [[number] for number in numbers], frames, schema.structures, first.geometry.voxel_ml
    )
    whole = known and sorted(frames) == list(range(1, len(frames) + 1)) and len(frames) >= FEWEST_FRAMES
    return Stack(
        labels=frames, images=images, geometry=first.geometry, frame_time_ms=None, whole_cycle=whole,
        ed_frame=ed_frame or _phase(subject.files, numbers, "ED"),
        es_frame=es_frame or _phase(subject.files, numbers, "ES"), counted_by_files=not known,
        expected_dice=expected,
    )  # fmt: skip


def _numbers(files: Sequence[LabelFile]) -> tuple[list[int], bool]:
    """Return the frames' numbers, and whether they are known; else files are counted, end-diastole first, then by name."""
    given = [file.case.frame for file in files]
    known = [number for number in given if number is not None]
    if len(set(known)) == len(files):
        return known, True
    if len(known) == len(files):
        twice = next(number for number in known if known.count(number) > 1)
        raise DataError(
            f"{files[0].case.patient} has two label maps of frame {twice}.", remedy="Remove one, or correct cases.csv."
        )
    order = sorted(range(len(files)), key=lambda index: (files[index].case.phase != "ED", files[index].case.case))
    return [order.index(index) + 1 for index in range(len(files))], len(files) == 1


def _phase(files: Sequence[LabelFile], numbers: Sequence[int], phase: str) -> int | None:
    found = [number for number, file in zip(numbers, files, strict=True) if file.case.phase == phase]
    if len(found) > 1:
        raise DataError(
            f"{files[0].case.patient} has {len(found)} label maps of phase {phase}.",
            remedy="Correct cases.csv, or rename them.",
        )
    return found[0] if found else None


def _image(file: LabelFile, geometry: Geometry, frames: int, chosen: Sequence[int] = ()) -> NDArray[np.generic] | None:
    """Return the image of a label map, (t, z, y, x), of a cine the ``chosen`` frames; ``None`` where there is none."""
    if file.image is None:
        return None
    volume = read_image(file.image)
    array = volume.array if volume.is_cine else volume.array[None]  # (t, z, y, x)
    if chosen and max(chosen) <= len(array):
        array = array[[number - 1 for number in chosen]]
    if len(array) != frames or volume.geometry.shape != geometry.shape:
        raise DataError(
            f"the image {file.image.name} has {len(array)} frames of shape {volume.geometry.shape}, its label map "
            f"{file.path.name} {frames} of {geometry.shape} (z, y, x).",
            remedy="Give the image that was segmented.",
        )
    return array


def check_grid(file: LabelFile, geometry: Geometry, first: Geometry, whose: str) -> None:
    """Raise ``DataError`` unless a label map has the shape and spacing of ``first``; ``whose`` says what that one is."""
    same = geometry.shape == first.shape and np.allclose(geometry.spacing_mm, first.spacing_mm, rtol=_SPACING_TOLERANCE)
    if not same:
        raise DataError(
            f"{file.path.name} has shape {geometry.shape} and spacing {geometry.spacing_mm} mm, {whose} "
            f"{first.shape} and {first.spacing_mm} mm (z, y, x).",
            remedy="Give label maps on one grid.",
        )
