"""What a dataset looks like: one function measures a case, another combines the cases. Neither reads a file."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.ops.crop import box_shape, nonzero_box
from autolv.ops.normalise import central
from autolv.ops.percentile import percentiles_of
from autolv.planning.twins import merge_overlapping
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint, Intensity, NanTriple, Spread

_NOWHERE: NanTriple = (math.nan, math.nan, math.nan)


def fingerprint_case(
    case: Case, image: Volume, labels: NDArray[np.generic], structures: Sequence[str]
) -> CaseFingerprint:
    """Return the fingerprint of one case.

    ``image`` is a frame (z, y, x); ``labels`` has its shape and holds 0 for background or 1 + the position of the
    structure in ``structures``. Raises ``DataError`` for a cine, and for labels of another shape.
    """
    if image.is_cine or labels.shape != image.array.shape:
        raise DataError(
            f"{case.case}: expected one frame (z, y, x) and labels of its shape, "
            f"got an image of {image.array.shape} and labels of {labels.shape}.",
            remedy="Convert the dataset with autolv_convert, which writes one file per labelled frame.",
        )
    array = np.asarray(image.array, dtype=np.float32)
    hidden = case.not_annotated(structures)
    known = {i: name for i, name in enumerate(structures, start=1) if name not in hidden}
    heart = labels != 0
    counts = np.bincount(labels.ravel(), minlength=len(structures) + 1)
    extent, centre = _heart_place(heart, image.spacing_mm)
    return CaseFingerprint(
        case=case.case,
        patient=case.patient,
        phase=case.phase,
        group=case.group,
        image_hash=_image_hash(array),
        shape=image.geometry.shape,
        spacing_mm=image.spacing_mm,
        orientation=_orientation(image.geometry),
        nonzero_box_shape=box_shape(nonzero_box(array)),
        intensity=_intensity(array),
        foreground_intensity=_intensity(array[heart]),
        heart_extent_mm=extent,
        heart_centre=centre,
        central_intensity=_intensity(central(array, image.spacing_mm[1:])),
        heart_slices=int(heart.any(axis=(1, 2)).sum()),
        volume_ml={name: int(counts[i]) * image.geometry.voxel_ml for i, name in known.items()},
        slices={name: int((labels == i).any(axis=(1, 2)).sum()) for i, name in known.items()},
    )


def combine_fingerprints(dataset: Dataset, cases: Sequence[CaseFingerprint]) -> Fingerprint:
    """Return the fingerprint of the dataset whose training cases were measured as ``cases``.

    Intensities are combined by the median over cases of each statistic, since the units of magnetic resonance images
    differ from scan to scan. Raises ``DataError`` where there are no cases.
    """
    if not cases:
        raise DataError(
            f"the dataset {dataset.name} has no training cases.",
            remedy="Put images in imagesTr and labels in labelsTr.",
        )
    structures = dataset.schema_.structures
    groups = {case.patient: case.group for case in cases if case.group is not None}
    having = {name: [case for case in cases if name in case.volume_ml] for name in structures}
    hearts = whole_hearts(cases, structures)
    return Fingerprint(
        dataset=dataset.name,
        labels=dict(dataset.labels),
        structures=structures,
        cases=tuple(cases),
        patients=len({case.patient for case in cases}),
        groups=dict(sorted(Counter(groups.values()).items())),
        phases=dict(sorted(Counter(case.phase for case in cases if case.phase is not None).items())),
        spacing_mm=_spreads(case.spacing_mm for case in cases),
        shape=_spreads(case.shape for case in cases),
        orientations=dict(sorted(Counter(case.orientation for case in cases).items())),
        heart_extent_mm=_spreads(case.heart_extent_mm for case in hearts),
        heart_offset_mm=_spreads(_heart_offset_mm(case) for case in hearts),
        intensity=_median_intensity([case.intensity for case in cases]),
        foreground_intensity=_median_intensity([case.foreground_intensity for case in cases]),
        volume_ml={name: spread([case.volume_ml[name] for case in having[name]]) for name in structures},
        heart_slices=spread([case.heart_slices for case in hearts]),
        slices={name: spread([case.slices[name] for case in having[name]]) for name in structures},
        slice_coverage={
            name: spread([case.slices[name] / case.shape[0] for case in having[name]]) for name in structures
        },
        twins=find_twins(cases),
    )


def whole_hearts(cases: Sequence[CaseFingerprint], structures: Sequence[str]) -> Sequence[CaseFingerprint]:
    """Return the cases in which all ``structures`` were annotated, whose hearts are thus whole; all where there is none."""
    return [case for case in cases if set(structures) <= set(case.volume_ml)] or cases


def find_twins(cases: Iterable[CaseFingerprint]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of patients who share an image, each sorted; patients who share none are left out."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for case in cases:
        owners[case.image_hash].add(case.patient)
    return merge_overlapping(tuple(patients) for patients in owners.values() if len(patients) > 1)


def spread(values: Sequence[float]) -> Spread:
    """Return minimum, 10th percentile, median, 90th percentile and maximum of the values that are not NaN."""
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    if array.size == 0:
        return Spread(minimum=math.nan, p10=math.nan, median=math.nan, p90=math.nan, maximum=math.nan)
    low, p10, median, p90, high = (float(v) for v in np.percentile(array, (0, 10, 50, 90, 100)))
    return Spread(minimum=low, p10=p10, median=median, p90=p90, maximum=high)


def _spreads(triples: Iterable[Sequence[float]]) -> tuple[Spread, Spread, Spread]:
    z, y, x = zip(*triples, strict=True)
    return spread(z), spread(y), spread(x)


def _image_hash(array: NDArray[np.float32]) -> str:
    """Return 16 hexadecimal digits of the voxels and their shape; -0 counts as 0, the byte order is fixed."""
    digest = hashlib.sha256(repr(tuple(int(n) for n in array.shape)).encode())
    digest.update(np.ascontiguousarray(array + np.float32(0), dtype="<f4").tobytes())
    return digest.hexdigest()[:16]


def _orientation(geometry: Geometry) -> str:
    """Return the file's axes that became z, y and x, ``-`` before one that runs backwards: ``"kji"``, ``"k-ji"``."""
    return "".join(
        ("-" if flip else "") + "ijk"[axis] for axis, flip in zip(geometry.axes, geometry.flips, strict=True)
    )


def _heart_place(heart: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> tuple[NanTriple, NanTriple]:
    """Return extent (mm) and centre (fraction of the field of view) of the labelled voxels' box, NaN without any."""
    if not heart.any():
        return _NOWHERE, _NOWHERE
    box = nonzero_box(heart)
    dz, dy, dx = ((stop - start) * d for (start, stop), d in zip(box, spacing_mm, strict=True))
    cz, cy, cx = ((start + stop) / 2 / n for (start, stop), n in zip(box, heart.shape, strict=True))
    return (dz, dy, dx), (cz, cy, cx)


def _heart_offset_mm(case: CaseFingerprint) -> NanTriple:
    """Return how far the heart's centre is from that of the field of view, per axis."""
    z, y, x = (
        abs(centre - 0.5) * n * d for centre, n, d in zip(case.heart_centre, case.shape, case.spacing_mm, strict=True)
    )
    return z, y, x


def _intensity(values: NDArray[np.float32]) -> Intensity:
    """Return the statistics of the finite ones among ``values``."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Intensity(mean=math.nan, sd=math.nan, p005=math.nan, p50=math.nan, p995=math.nan)
    p005, p50, p995 = percentiles_of(finite, (0.5, 50, 99.5))
    finite = finite.astype(np.float64)
    return Intensity(mean=float(finite.mean()), sd=float(finite.std()), p005=p005, p50=p50, p995=p995)


def _median_intensity(cases: Sequence[Intensity]) -> Intensity:
    return Intensity(
        mean=spread([case.mean for case in cases]).median,
        sd=spread([case.sd for case in cases]).median,
        p005=spread([case.p005 for case in cases]).median,
        p50=spread([case.p50 for case in cases]).median,
        p995=spread([case.p995 for case in cases]).median,
    )
