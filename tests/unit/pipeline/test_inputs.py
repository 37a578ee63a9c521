"""Which files are predicted, what their results are called, and which output folders are refused."""

from pathlib import Path

import pytest

from autolv.core.errors import DataError, WorkspaceError
from autolv.pipeline.inputs import check_output, find_inputs


def files(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_results_are_named_as_the_input_less_the_channel(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "b.nrrd", "a_0000.nii.gz", "c.v2.NII", "d_0000_0000.mha", "e_0001.nii")
    found = find_inputs(folder)
    assert [item.path.name for item in found] == [
        "a_0000.nii.gz",
        "b.nrrd",
        "c.v2.NII",
        "d_0000_0000.mha",
        "e_0001.nii",
    ]
    assert [item.stem for item in found] == ["a", "b", "c.v2", "d_0000", "e_0001"]
    assert [item.result for item in found] == ["a.nii.gz", "b.nrrd", "c.v2.NII", "d_0000.mha", "e_0001.nii"]
    assert [item.result for item in find_inputs(folder / "a_0000.nii.gz")] == ["a.nii.gz"]


def test_only_images_of_the_folder_itself_are_taken(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "a.nii.gz", "notes.txt", "Info.cfg", "a.raw")
    files(folder / "below", "b.nii.gz")
    (folder / "c.nii.gz").mkdir()  # a folder with an image's name is no image
    assert [item.path.name for item in find_inputs(folder)] == ["a.nii.gz"]


@pytest.mark.parametrize(
    "names", [("a.nii.gz", "a_0000.nii.gz"), ("a.nii", "a.nii.gz"), ("a.nrrd", "a_0000.mha")], ids="-".join
)
def test_twins_that_would_be_written_as_one_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="two inputs would both be written as 'a'") as caught:
        find_inputs(files(tmp_path / "in", "b.nii.gz", *names))
    assert caught.value.remedy


def test_a_folder_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no image \(\.nii\.gz, .*it holds Info\.cfg, scan\.dcm\."):
        find_inputs(files(tmp_path / "in", "scan.dcm", "Info.cfg"))
    with pytest.raises(DataError, match="it holds nothing"):
        find_inputs(files(tmp_path / "empty"))


def test_an_unknown_ending_and_a_missing_place_are_refused(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "scan.dcm")
    with pytest.raises(DataError, match=r"scan\.dcm is not an image that can be read.*\.nii\.gz"):
        find_inputs(folder / "scan.dcm")
    with pytest.raises(DataError, match=r"nowhere does not exist.*-i"):
        find_inputs(tmp_path / "nowhere")


@pytest.mark.parametrize("source", ["in", "in/a_0000.nii.gz"])
@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_the_inputs_own_folder_is_never_written_to(tmp_path: Path, source: str, flags: tuple[bool, bool]) -> None:
    folder = files(tmp_path / "in", "a_0000.nii.gz")
    inputs = find_inputs(tmp_path / source)
    overwrite, skip_existing = flags
    for output in (folder, tmp_path / "in" / ".." / "in"):
        with pytest.raises(WorkspaceError, match=r"output and input are the same folder.*-o"):
            check_output(tmp_path / source, output, inputs, overwrite=overwrite, skip_existing=skip_existing)
    check_output(tmp_path / source, folder / "labels", inputs, overwrite=overwrite, skip_existing=skip_existing)
    assert not (folder / "labels").exists()


def test_an_output_that_is_a_file_is_refused_even_to_overwrite(tmp_path: Path) -> None:
    source = files(tmp_path / "in", "a.nii.gz")
    (tmp_path / "out").touch()
    with pytest.raises(WorkspaceError, match=r"out is a file.*-o"):
        check_output(source, tmp_path / "out", find_inputs(source), overwrite=True, skip_existing=False)


def test_results_that_are_there_need_a_word(tmp_path: Path) -> None:
    source = files(tmp_path / "in", "a_0000.nii.gz", "b.nii.gz", "c.nrrd")
    output = files(tmp_path / "out", "a.nii.gz", "c.nii.gz", "summary.json")  # c's own result would be c.nrrd
    inputs = find_inputs(source)
    with pytest.raises(WorkspaceError, match=r"holds 1 of these results already, 'a' for one.*--overwrite"):
        check_output(source, output, inputs, overwrite=False, skip_existing=False)
    check_output(source, output, inputs, overwrite=True, skip_existing=False)
    check_output(source, output, inputs, overwrite=False, skip_existing=True)
    check_output(source, output, inputs[1:], overwrite=False, skip_existing=False)
