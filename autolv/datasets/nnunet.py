"""A dataset made for nnU-Net, copied into the workspace; one that lies there already is used in place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from autolv.core.errors import DataError
from autolv.core.labels import LV_CAVITY, LabelSchema
from autolv.datasets import CONVERTERS, Converter, ConvertOptions
from autolv.datasets._staging import ENDING, place_image, place_label, staged_folder
from autolv.datasets._survey import Seen, conversion_report, occurring, survey, with_phases
from autolv.datasets.raw import (
    CHANNEL,
    DESCRIPTION,
    IMAGES,
    LABELS,
    TABLE,
    TEST_IMAGES,
    TEST_LABELS,
    checked_dataset,
    load_dataset,
    write_cases,
    write_dataset,
)
from autolv.parallel import run_each
from autolv.schema.dataset import Case, ConversionReport, Dataset


class NnunetConverter:
    """nnU-Net's raw layout, format 1 or 2."""

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> ConversionReport:
        """Copy the dataset ``source`` to ``target`` with a ``cases.csv`` that names each case's patient and phase.

        Images that are not 3D ``.nii.gz`` are rewritten so. Where ``source`` is ``target``, only ``cases.csv`` is added,
        or what it lacks; ``options.labels`` that differ from its ``dataset.json`` are then a ``DataError``.
        """
        dataset = load_dataset(source, patient_pattern=options.patient_pattern)
        in_place = target.exists() and source.resolve() == target.resolve()
        if options.labels is not None:
            labels = dict(LabelSchema.from_names(options.labels).codes)
            if in_place and labels != dataset.labels:
                raise _other_codes(target / DESCRIPTION, dataset.labels, labels)
            dataset = dataset.model_copy(update={"labels": labels})
        if in_place:
            return _in_place(source, target, dataset, options)
        skipped = [
            (case.case, reason) for case in (*dataset.training, *dataset.test) if (reason := _lacks(source, case))
        ]
        left_out = {name for name, _ in skipped}
        cases = [(case, False) for case in dataset.training if case.case not in left_out]
        cases += [(case, True) for case in dataset.test if case.case not in left_out]
        if all(test for _, test in cases):
            raise DataError(
                f"{source}: no training case has both an image and a label map ({skipped[0][0]}: {skipped[0][1]}).",
                remedy=f"Expected are {IMAGES}/<case>{CHANNEL}{ENDING} and {LABELS}/<case>{ENDING}.",
            )
        problems: list[str] = []
        with staged_folder(target, overwrite=options.overwrite, source=source) as folder:
            for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS):
                if name in (IMAGES, LABELS) or any(test for _, test in cases):
                    (folder / name).mkdir()
            seen = run_each(
                lambda item: _place(source, folder, item[0], test=item[1]), cases,
                name=lambda item: item[0].case, label="convert", workers=options.workers,
            )  # fmt: skip
            copied = _completed(target.name, dataset, cases, seen, problems)
            write_dataset(folder, copied, table=source / TABLE)
        return conversion_report("nnunet", source, target, copied, seen, problems=problems, skipped=skipped)


NNUNET: Converter = CONVERTERS.register("nnunet")(NnunetConverter())


def _other_codes(path: Path, there: Mapping[str, int], given: Mapping[str, int]) -> DataError:
    """Return the error that a dataset used in place has other codes than those given."""
    stands, asked = (", ".join(f"{name}={code}" for name, code in codes.items()) for codes in (there, given))
    return DataError(
        f"{path} says {stands}, --labels says {asked}; a dataset that lies in the workspace is used as it is.",
        remedy=f'Correct "labels" there to {json.dumps({"background": 0, **given})}, or leave --labels out.',
    )


def _in_place(source: Path, target: Path, dataset: Dataset, options: ConvertOptions) -> ConversionReport:
    labels = [None if case.label is None else source / case.label for case in dataset.training]
    seen = run_each(survey, labels, name=str, label="read labels", workers=options.workers)
    problems = ["the dataset lies in the workspace already and is used in place"]
    known = {case.case: one for case, one in zip(dataset.training, seen, strict=True)}
    training = with_phases(dataset.training, known, dataset.labels[LV_CAVITY], problems)
    dataset = dataset.model_copy(update={"training": tuple(training)})
    write_cases(target, dataset)
    return conversion_report("nnunet", source, target, dataset, seen, problems=problems)


def _lacks(source: Path, case: Case) -> str | None:
    """Return what a case lacks to be copied, or ``None``; a test case needs no label map."""
    if not (source / case.image).is_file():
        return f"no image {case.image}"
    if case.image.startswith(TEST_IMAGES):
        return None
    if case.label is None or not (source / case.label).is_file():
        return f"no label map {case.label or f'{LABELS}/{case.case}{ENDING}'}"
    return None


def _place(source: Path, folder: Path, case: Case, *, test: bool) -> Seen:
    place_image(source / case.image, folder / _moved(case, test=test).image)
    if case.label is None:
        return survey(None)
    label = folder / str(_moved(case, test=test).label)
    place_label(source / case.label, label)
    return survey(label)


def _moved(case: Case, *, test: bool) -> Case:
    """Return ``case`` with the paths that it has in the copy."""
    image = f"{TEST_IMAGES if test else IMAGES}/{case.case}{CHANNEL}{ENDING}"
    label = None if case.label is None else f"{TEST_LABELS if test else LABELS}/{case.case}{ENDING}"
    return case.model_copy(update={"image": image, "label": label})


def _completed(
    name: str, dataset: Dataset, cases: Sequence[tuple[Case, bool]], seen: Sequence[Seen], problems: list[str]
) -> Dataset:
    training = [_moved(case, test=False) for case, test in cases if not test]
    known = {case.case: one for (case, _), one in zip(cases, seen, strict=True)}
    training = with_phases(training, known, dataset.labels[LV_CAVITY], problems)
    return checked_dataset(
        Path(name),
        name=name,
        labels=occurring(dataset.labels, [known[case.case] for case in training], problems),
        file_ending=ENDING,
        training=tuple(training),
        test=tuple(_moved(case, test=True) for case, test in cases if test),
        patient_rule=dataset.patient_rule,
    )
