"""Some frames of a cine are no cycle: they keep their numbers, and their images are the cine's of these numbers."""

from pathlib import Path

import nibabel as nib
import numpy as np

from autolv.core.labels import LabelSchema
from autolv.pipeline.report_inputs import LabelFile, Subject
from autolv.pipeline.report_stack import read_stack
from autolv.schema.dataset import Case
from autolv.schema.results import PredictionStatus


def test_frames_that_were_chosen_keep_their_numbers_and_are_no_cycle(tmp_path: Path) -> None:
    image = np.stack([np.full((4, 5, 6), 10 * n, np.int16) for n in (1, 2, 3, 4)], axis=-1)  # (x, y, z, t)
    labels = np.ones((4, 5, 6, 2), np.uint8)
    for name, array in (("image", image), ("labels", labels)):
        nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 8.0, 1.0])), tmp_path / f"{name}.nii")
    status = PredictionStatus(input="image.nii", output="labels.nii", status="done", frames=2, frame_numbers=(2, 4))
    file = LabelFile(
        path=tmp_path / "labels.nii", case=Case(case="a", patient="a", image="image.nii"), frames=2,
        image=tmp_path / "image.nii", status=status,
    )  # fmt: skip
    schema = LabelSchema({"lv_cavity": 1})
    stack = read_stack(Subject(name="a", files=(file,)), schema, ed_frame=None, es_frame=None)
    assert list(stack.labels) == [2, 4] and not stack.whole_cycle and stack.frame_time_ms is None
    assert {number: int(frame.max()) for number, frame in stack.images.items()} == {2: 20, 4: 40}
