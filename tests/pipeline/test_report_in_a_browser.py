"""The report's pages in a real browser, driven through a pipe: they play, step, sort, and ask for nothing."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolv.core.geometry import Volume
from autolv.datasets._phantom_tree import ACDC_CODES, _in_codes
from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import summarise
from autolv.imageio.volumes import write_image, write_labels
from autolv.pipeline.report import report
from autolv.reporting.choice_page import Choice, choice_page
from autolv.reporting.worst_cases import WorstCase
from autolv.schema.readout import Readout
from autolv.schema.results import BestConfig, Candidate

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Browser:
    """A headless Chromium that is spoken to in its DevTools protocol through two pipes; no socket is opened."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        flags = (
            "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
            f"--disable-component-update --disable-sync --remote-debugging-pipe --user-data-dir='{profile}'"
        )
        line = f"exec '{program}' {flags} about:blank 3<&{to_browser} 4>&{from_browser}"
        self._process = subprocess.Popen(
            ["bash", "-c", line],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._buffer, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        (page, *_) = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, page: Path, width: int = 1280) -> None:
        """Show a page and wait until it is loaded."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression is in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def troubles(self) -> list[str]:
        """Return errors of the page's scripts, what the console complained of, and requests that left the page."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(str(params["entry"]["text"]))
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif event["method"] == "Network.requestWillBeSent":
                found += (
                    [params["request"]["url"]] if not params["request"]["url"].startswith(("file:", "data:")) else []
                )
        return [words for words in found if "willReadFrequently" not in words]  # that the tests read pixels

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError):
            os.write(self._write, b'{"id":0,"method":"Browser.close"}\0')
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + 60
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(line))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None or shutil.which("bash") is None:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)}), or no bash to hand it its pipes")
    one = Browser(program, tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Readout, ...]]:
    """Reports of two small cines of ten frames, one with a name that would be HTML."""
    root = tmp_path_factory.mktemp("reported")
    for seed, name in ((1, "case_001_4d"), (2, "b&<i>_4d")):
        phantom = make_phantom(seed, PhantomSpec(frames=10, shape=(6, 64, 64), spacing_mm=(12.0, 2.6, 2.6)))
        image = root / "images" / f"{name}.nii.gz"
        volume = Volume(array=phantom.image, geometry=phantom.geometry, frame_time_ms=phantom.frame_time_ms)
        write_image(image, volume, dtype="int16")
        write_labels(
            root / "labels" / image.name, _in_codes(phantom.labels, phantom.truth.structures, ACDC_CODES), like=image
        )
    readouts = report(root / "labels", root / "out", labels=dict(ACDC_CODES), images=root / "images", workers=0)
    return root / "out", readouts


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_case_plays_steps_and_tells_its_ejection_fraction(browser, reported, width: int) -> None:
    folder, readouts = reported
    readout = next(one for one in readouts if one.case == "case_001_4d")
    browser.open(folder / "case_001_4d.html", width)
    shown = browser.value("document.querySelector('td[data-name=lv_ef_percent]').textContent")
    assert shown == f"{readout.quantities['lv_ef_percent'].value:.1f} %"
    assert browser.value("document.documentElement.scrollWidth") <= width  # nothing sticks out
    text = "document.getElementById('{}').textContent"
    assert browser.value(text.format("frame-text")).startswith(f"Frame {readout.ed_frame} of 10, end-diastole")
    before = browser.value(text.format("slice-text"))
    browser.value("document.getElementById('viewer').focus()")
    browser.press("ArrowRight")
    assert browser.value(text.format("frame-text")).startswith(f"Frame {readout.ed_frame % 10 + 1} of 10")
    browser.press("ArrowDown")
    after = browser.value(text.format("slice-text"))
    assert before == "Slice 4 of 6" and after == "Slice 5 of 6"
    # the picture is there: grey, and with the colours of the contours while these are shown
    pixels = (
        "(() => { const c = document.getElementById('image'); "
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let colour = 0, grey = 0;"
        "for (let i = 0; i < d.length; i += 4) { if (Math.abs(d[i] - d[i + 2]) > 60) colour++; else if (d[i] > 60) grey++; }"
        "return [colour, grey]; })()"
    )
    colour, grey = browser.value(pixels)
    assert colour > 500 and grey > 5000
    browser.press("c")
    assert browser.value(pixels)[0] == 0
    browser.press(" ")
    assert browser.value(text.format("play")) == "Pause"
    frames = {browser.value(text.format("frame-text"))}
    for _ in range(100):
        frames.add(browser.value(text.format("frame-text")))
        if len(frames) == 10:
            break
        time.sleep(0.05)
    assert len(frames) == 10
    browser.press(" ")
    assert browser.value(text.format("play")) == "Play"
    slider = (
        "(() => { const s = document.getElementById('slice'); s.value = 0; s.dispatchEvent(new Event('input')); })()"
    )
    browser.value(slider)
    assert browser.value(text.format("slice-text")) == "Slice 1 of 6"
    assert browser.troubles() == []


def test_the_page_of_all_sorts_and_a_name_is_only_a_name(browser, reported) -> None:
    folder, _ = reported
    browser.open(folder / "index.html")
    names = "[...document.querySelectorAll('table.cohort tbody tr')].map((row) => row.cells[1].textContent)"
    first = browser.value(names)
    assert sorted(first) == ["b_i__4d", "case_001_4d"]
    efs = "[...document.querySelectorAll('table.cohort tbody tr')].map((row) => Number(row.cells[6].dataset.key))"
    browser.value("document.querySelectorAll('table.cohort th button')[5].click()")
    rising = browser.value(efs)
    browser.value("document.querySelectorAll('table.cohort th button')[5].click()")
    assert rising == sorted(rising) and browser.value(efs) == rising[::-1] and rising[0] != rising[1]
    links = browser.value("[...document.querySelectorAll('table.cohort tbody a')].map((a) => a.getAttribute('href'))")
    assert all((folder / link).is_file() for link in links)
    for link in links:
        browser.open(folder / link)
        assert browser.value("document.querySelectorAll('.facts b > *').length") == 0  # a name that is HTML stays text
        assert browser.troubles() == []


def test_the_policy_stops_what_would_be_loaded(browser, reported) -> None:
    """What the two tests above did not see is seen: a request and a script from elsewhere are refused, and told."""
    folder, _ = reported
    browser.open(folder / "index.html")
    browser.value("fetch('https://192.0.2.1/x').catch(() => 0).then(() => 1)")
    browser.value(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1'; document.body.append(s); })()"
    )
    browser.value("new Promise((done) => setTimeout(done, 200))")
    assert browser.value("window.bad") is None
    assert len(browser.troubles()) >= 2


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_cross_validation_fits_its_screen_and_asks_for_nothing(
    browser, tmp_path: Path, width: int
) -> None:
    phantom = make_phantom(3, PhantomSpec(frames=4, shape=(6, 64, 64), spacing_mm=(12.0, 2.6, 2.6)))
    structures, spacing_mm = phantom.truth.structures, phantom.geometry.spacing_mm
    cases, worst = [], []
    for frame, phase in ((0, "ED"), (2, "ES")):
        image, truth = phantom.image[frame], phantom.labels[frame]
        moved = np.roll(truth, 2, axis=2)
        cases.append(compare_case(moved, truth, spacing_mm, structures, case=f"a_{phase}", patient="a", phase=phase))
        worst.append(WorstCase(metrics=cases[-1], image=image, prediction=moved, reference=truth, structures=structures,
                               spacing_mm=spacing_mm, causes=("<b>LV</b>",)))  # fmt: skip
    candidate = Candidate(
        name="2d_unet + 2d_attention_unet", configurations=("2d_unet",), folds=(0,), cases=2, patients=1, mean_dice=0.8,
        interval=(0.7, 0.9), dice={}, ef_mae_percent=2.0, difference_to_best=0.0, difference_interval=(0.0, 0.0),
        separable=False,
    )  # fmt: skip
    best = BestConfig(
        dataset="D", run="default", labels=dict(ACDC_CODES), structures=structures, configurations={}, members=(),
        postprocessing=(), candidates=(candidate,), chosen=candidate.name, reason="alone", score=0.8,
        score_with_postprocessing=0.8, cross_fitted_score=0.8, folds_available="", fingerprint_hash="", licence_note="",
        versions={},
    )  # fmt: skip
    rows = [{"epoch": float(epoch), "loss": 1.0 / epoch, "dice_lv_cavity": 0.5} for epoch in range(1, 9)]
    choice = Choice(best=best, evaluation=summarise(tuple(cases)), fingerprint=None, histories={"2d_unet": {0: rows}},
                    worst=worst)  # fmt: skip
    (tmp_path / "report.html").write_text(choice_page(choice, "1.0"), encoding="utf-8")
    browser.open(tmp_path / "report.html", width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelectorAll('figure.worst svg image').length") == 2
    assert browser.value("getComputedStyle(document.querySelector('.outline.reference')).strokeDasharray") == "3px, 3px"
    assert browser.value("document.querySelector('figure.worst li').textContent") == "<b>LV</b>"
    assert browser.troubles() == []
