"""The doctor: versions, what was granted, what will be used, what is known to be bad."""

from pathlib import Path

import pytest

import autolv
from autolv.pipeline import doctor as module
from autolv.pipeline.doctor import bad_versions, doctor, package_versions


@pytest.mark.parametrize(
    ("found", "bad"),
    [
        ({"torch": "2.8.0"}, 0), ({"torch": "2.9.0"}, 1), ({"torch": "2.9.1+cu128"}, 1), ({"torch": "2.10.0"}, 0),
        ({"torch": "2.13.0+cpu"}, 0), ({"acvl-utils": "0.2.1"}, 1), ({"acvl-utils": "0.2.6"}, 0),
        ({"torch": "2.9.0", "acvl-utils": "0.2.1"}, 2), ({"torch": None}, 0), ({"torch": "unknown"}, 0), ({}, 0),
    ],
)  # fmt: skip
def test_known_bad_versions_are_found_by_their_numbers(found: dict[str, str | None], bad: int) -> None:
    lines = bad_versions(found)
    assert len(lines) == bad
    assert all("install" in line for line in lines)


def test_the_pinned_versions_are_not_among_the_bad() -> None:
    assert bad_versions(package_versions()) == []


def test_the_report_names_versions_cores_devices_and_places(tmp_path: Path) -> None:
    (tmp_path / "raw_data" / "ACDC").mkdir(parents=True)
    report = doctor(root=tmp_path)
    assert f"autolv {autolv.__version__}" in report
    assert "torch 2." in report
    assert "numpy 2." in report
    assert "granted to this process" in report
    assert "--device auto takes " in report
    assert f"root: {tmp_path}" in report
    assert "raw_data: ACDC" in report
    assert "plans: no dataset" in report
    assert report.isascii()  # any terminal can show it


def test_a_missing_package_or_root_is_told_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "package_versions", lambda: {"python": "3.11.0", "torch": None})
    report = doctor(root=tmp_path / "nowhere")
    assert "torch NOT INSTALLED" in report
    assert "torch is not installed; install autolv again" in report
    assert "nowhere is not an existing folder" in report
