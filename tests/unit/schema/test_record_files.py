"""Reading and writing of records: versions, damaged files, all or nothing, hashes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from autolv.core.errors import SchemaError
from autolv.schema.record import (
    Migration,
    NewFile,
    Record,
    create_record,
    from_json,
    read_record,
    write_bytes,
    write_record,
    write_text,
)
from autolv.schema.results import RunChoices


def one_to_two(data: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in data.items() if key != "size"}
    return rest | {"version": 2, "width_mm": data["size"]}


def two_to_three(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"version": 3, "colour": "none"}


class Shape(Record):
    """A record that went through two changes: ``size`` became ``width_mm``, then ``colour`` was added."""

    MIGRATIONS: ClassVar[Mapping[int, Migration]] = {1: one_to_two, 2: two_to_three}
    version: Literal[3] = 3
    width_mm: float
    colour: str


class Plain(Record):
    """A record without a history."""

    version: Literal[2] = 2
    width_mm: float


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "size": 2.5}',
        '{"version": 2, "width_mm": 2.5}',
        '{"version": 3, "width_mm": 2.5, "colour": "none"}',
    ],
)
def test_old_versions_climb_step_by_step(text: str) -> None:
    assert from_json(Shape, text, where="x") == Shape(width_mm=2.5, colour="none")


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(SchemaError, match="version: .*3"):
        from_json(Shape, '{"version": 4, "width_mm": 2.5, "colour": "a"}', where="x")


def test_an_old_version_without_migration_is_refused() -> None:
    with pytest.raises(SchemaError):
        from_json(Plain, '{"version": 1, "width_mm": 2.5}', where="x")


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "not json", "{'a': 1}"])
def test_damaged_json_says_which_file_and_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shape.json"
    path.write_text(text)
    with pytest.raises(SchemaError, match=r"shape\.json is not valid JSON") as caught:
        read_record(Shape, path)
    assert "writes it again" in caught.value.remedy


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_json_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="the whole record"):
        from_json(Shape, text, where="x")


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot read"):
        read_record(Shape, tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SchemaError, match="cannot read"):
        read_record(Shape, tmp_path / "binary.json")


def test_letters_outside_ascii_survive(tmp_path: Path) -> None:
    write_record(Shape(width_mm=1.0, colour="grün, 白"), tmp_path / "a.json")
    assert read_record(Shape, tmp_path / "a.json").colour == "grün, 白"
    assert "grün" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("moment", ["write", "sync", "rename"])
@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "stopped"]
)
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, failure: BaseException
) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail(*_args: object, **_kwargs: object) -> None:
        raise failure

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr(Path, "open", fail)
        elif moment == "sync":
            patch.setattr(os, "fsync", fail)
        else:
            patch.setattr(Path, "replace", fail)
        with pytest.raises(type(failure)):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_writing_makes_the_folder_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_bytes(path, b"1")
    write_bytes(path, b"22")
    assert path.read_bytes() == b"22"
    assert len(list(path.parent.iterdir())) == 1


def test_a_file_is_hashed_while_it_is_written_only_where_that_is_asked_for(tmp_path: Path) -> None:
    for hashed in (True, False):
        file = NewFile(tmp_path / "a.bin", hashed=hashed)
        file.write(b"ab")
        file.write(b"c")
        if hashed:  # by sha256sum
            assert file.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        else:
            with pytest.raises(ValueError, match="not hashed"):
                _ = file.sha256
        file.place()
        assert (tmp_path / "a.bin").read_bytes() == b"abc"


def test_the_hash_is_of_the_content_alone() -> None:
    one = from_json(Shape, '{"version": 3, "width_mm": 2, "colour": "a"}', where="x")
    other = from_json(Shape, '{"colour": "a", "version": 3, "width_mm": 2.0}', where="y")
    assert one.content_hash() == other.content_hash()
    assert one.content_hash() != Shape(width_mm=2.0, colour="b").content_hash()
    assert len(one.content_hash()) == 16
    # sha256 of '{"colour":"a","version":3,"width_mm":2.0}', by sha256sum: the hash must not move between releases
    assert one.content_hash() == "f8e069fc968d9b69"


@pytest.mark.parametrize("links", [True, False], ids=["", "no hard links"])
def test_of_many_who_write_a_record_at_once_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr("os.link", _no_link)
    path = tmp_path / "deep" / "choices.json"
    assert create_record(_choices(seed=1), path) and not create_record(_choices(seed=2), path)
    assert read_record(RunChoices, path).seed == 1
    assert [file.name for file in path.parent.iterdir()] == ["choices.json"]


def _no_link(*_: object) -> None:
    raise OSError("not supported")


def _choices(*, seed: int) -> RunChoices:
    return RunChoices(plan_hash="p", splits_hash="s", seed=seed, epochs=1, time_budget_minutes=None)


def test_processes_that_choose_at_once_agree_on_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from autolv.schema.record import create_record;"
        "from autolv.schema.results import RunChoices;"
        "record = RunChoices(plan_hash='p', splits_hash='s', seed=int(sys.argv[1]), epochs=1, time_budget_minutes=None);"
        "input(); print(create_record(record, Path(sys.argv[2])))"
    )
    path = tmp_path / "choices.json"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(seed), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for seed in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(said) == ["False", "False", "False", "True"]
    assert read_record(RunChoices, path).seed == said.index("True")
