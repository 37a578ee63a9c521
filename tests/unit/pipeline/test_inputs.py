"""Which files are predicted, what their results are called, and which output folders are refused."""

from pathlib import Path

import pytest

from autolv.core.errors import DataError, WorkspaceError
from autolv.pipeline.inputs import check_output, find_inputs, shard_of


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
def test_the_inputs_own_folder_is_never_written_to(tmp_path: Path, source: str) -> None:
    folder = files(tmp_path / "in", "a_0000.nii.gz")
    inputs = find_inputs(tmp_path / source)
    for output in (folder, tmp_path / "in" / ".." / "in"):
        with pytest.raises(WorkspaceError, match=r"output and input are the same folder.*-o"):
            check_output(tmp_path / source, output, inputs)
    check_output(tmp_path / source, folder / "labels", inputs)
    assert not (folder / "labels").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    source = files(tmp_path / "in", "a.nii.gz")
    (tmp_path / "out").touch()
    with pytest.raises(WorkspaceError, match=r"out is a file.*-o"):
        check_output(source, tmp_path / "out", find_inputs(source))


def results(source: Path, output: Path | None = None) -> dict[str, str]:
    """The inputs' names and the paths of their results."""
    return {item.name: item.result for item in find_inputs(source, output)}


def test_a_tree_is_taken_where_the_folder_itself_has_no_image(tmp_path: Path) -> None:
    scans = files(tmp_path / "scans", "list.txt")
    files(scans / "p2", "cine.nii.gz", "Info.cfg")
    files(scans / "p1" / "late", "cine_0000.nii.gz", ".hidden.nii.gz")
    files(scans / ".cache", "cine.nii.gz")
    expected = {"p1/late/cine_0000.nii.gz": "p1/late/cine.nii.gz", "p2/cine.nii.gz": "p2/cine.nii.gz"}
    assert results(scans) == expected
    assert list(results(scans)) == ["p1/late/cine_0000.nii.gz", "p2/cine.nii.gz"]
    files(scans / "labels" / "p1", "cine.nii.gz")  # what an earlier call has written there
    assert results(scans, scans / "labels") == expected
    assert len(results(scans, tmp_path / "labels")) == 3


def test_a_pattern_names_results_from_the_folder_that_all_share(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        files(tmp_path / "s [1]" / patient, f"{patient}_4d.nii.gz", f"{patient}_gt.nii.gz", "4d.txt")
    scans = tmp_path / "s [1]"  # a folder whose name is a pattern is a folder
    assert len(results(scans)) == 4
    (tmp_path / "s [1]").rename(tmp_path / "s")
    scans = tmp_path / "s"
    both = {"p1/p1_4d.nii.gz": "p1/p1_4d.nii.gz", "p2/p2_4d.nii.gz": "p2/p2_4d.nii.gz"}
    assert results(scans / "*" / "*_4d*") == both
    assert results(scans / "**" / "*_4d.nii.gz") == both
    assert results(scans / "p1" / "*4d.nii.gz") == {"p1_4d.nii.gz": "p1_4d.nii.gz"}
    with pytest.raises(DataError, match=r"\*\.mha holds no image.*it holds p1, p2"):
        find_inputs(scans / "*.mha")
    with pytest.raises(DataError, match="holds no image.*it holds nothing"):
        find_inputs(tmp_path / "nowhere" / "*.nii")


def test_a_table_names_images_and_results(tmp_path: Path) -> None:
    files(tmp_path / "a", "x.nii.gz")
    files(tmp_path / "b", "x.nii.gz", "y_0000.nrrd", "z.mha")
    table = tmp_path / "t.csv"
    table.write_text(
        "\ufeffimage,vendor,output,case\r\n"
        f"a/x.nii.gz,A,deep/first.v2,\r\nb/x.nii.gz,B,second.nii,ignored\r\n{tmp_path}/b/y_0000.nrrd,,,\r\n"
        "b/z.mha,,,case.7\r\n,,,\r\n",
        encoding="utf-8",
    )
    found = {item.path.relative_to(tmp_path).as_posix(): item.result for item in find_inputs(table)}
    assert found == {
        "a/x.nii.gz": "deep/first.v2.nii.gz", "b/x.nii.gz": "second.nii", "b/y_0000.nrrd": "y.nrrd", "b/z.mha": "case.7.mha",
    }  # fmt: skip
    check_output(
        table, tmp_path, find_inputs(table)
    )  # its own folder may be the output as long as no image is replaced


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\na/x.nii.gz\n", "must have rows and a column 'image', it has path"),
        ("image\n", "must have rows"),
        ("image,case\n,a\n", "names no image"),
        ("image\na/x.nii.gz\na/w.nii.gz\n", r"row 3: .*w\.nii\.gz does not exist"),
        ("image,output\na/x.nii.gz,../x\n", r"row 2: the result '\.\./x' would not lie in the output folder"),
        ("image,case\na/x.nii.gz,/x\n", "would not lie in the output folder"),
        ("image,output\na/x.nii.gz,C:/x\n", "would not lie in the output folder"),
        ("image\na/x.nii.gz\nb/x.nii.gz\n", r"both be written as 'x': a/x\.nii\.gz and b/x\.nii\.gz"),
        ("image,case\na/x.nii.gz,k\nb/y.nii.gz,k\n", "both be written as 'k'"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    files(tmp_path / "a", "x.nii.gz")
    files(tmp_path / "b", "x.nii.gz", "y.nii.gz")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        find_inputs(tmp_path / "t.csv")
    assert caught.value.remedy


def test_no_result_may_replace_an_image(tmp_path: Path) -> None:
    files(tmp_path / "a", "x.nii.gz")
    (tmp_path / "t.csv").write_text("image\na/x.nii.gz\n")
    with pytest.raises(WorkspaceError, match=r"the result of a/x\.nii\.gz would replace the image"):
        check_output(tmp_path / "t.csv", tmp_path / "a", find_inputs(tmp_path / "t.csv"))


def test_parts_are_disjoint_whole_and_even(tmp_path: Path) -> None:
    inputs = find_inputs(files(tmp_path / "in", *(f"{n:02d}.nii" for n in range(11))))
    parts = [[item.stem for item in shard_of(inputs, (number, 4))] for number in (1, 2, 3, 4)]
    assert parts[0] == ["00", "04", "08"] and [len(part) for part in parts] == [3, 3, 3, 2]
    assert sorted(stem for part in parts for stem in part) == [item.stem for item in inputs]
    assert shard_of(inputs, None) == inputs and shard_of(inputs[:1], (2, 2)) == []
    with pytest.raises(DataError, match="no part 5 of 4"):
        shard_of(inputs, (5, 4))
