"""A real headless Chromium for the tests of pages, with the network away unless the page has a server."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
# Where STUDY_TESTS_REQUIRE names it, a missing browser is a failure and not a skip.
MAY_SKIP = "chromium" not in os.environ.get("STUDY_TESTS_REQUIRE", "")
MISSING = CHROMIUM is None or DRIVER is None
MARKS = [
    pytest.mark.skipif(MAY_SKIP and MISSING, reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(MAY_SKIP and not importlib.util.find_spec("selenium"), reason="selenium is not installed"),
    # The driver's own sockets are closed by its end, not by the test.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
Driver = Any


def start(*, javascript: bool = True, offline: bool = True) -> Driver:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.execute_cdp_cmd("Network.enable", {})
    if offline:
        away = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", away)
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not javascript})
    return driver


def wait(driver: Driver, condition: str, seconds: float = 20.0) -> Any:
    """Poll until `condition` (JavaScript) holds."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, poll_frequency=0.1).until(lambda d: d.execute_script(f"return {condition}"))


def open_all(driver: Driver, page: str) -> None:
    """Open the page with every section, and bring every chart into view."""
    driver.get(page)
    wait(driver, "document.documentElement.dataset.ready === 'yes'")
    driver.execute_script("document.querySelectorAll('section > details').forEach(fold => fold.open = true)")
    end = time.monotonic() + 40
    while rest := driver.find_elements("css selector", ".plot[data-figure]:not([data-drawn])"):
        assert time.monotonic() < end, f"{len(rest)} charts were not drawn"
        driver.execute_script("arguments[0].scrollIntoView()", rest[0])
    wait(driver, "Array.from(document.querySelectorAll('.plot')).every(plot => plot.querySelector('.main-svg'))")


def requests(driver: Driver) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def outside(driver: Driver) -> list[str]:
    """Requests that left the page."""
    return [url for url in requests(driver) if not url.startswith(("file:", "data:", "blob:"))]


def complaints(driver: Driver, page: str) -> list[Any]:
    """What the console says and which requests leave the page while it is opened with every section."""
    requests(driver)  # those before are not its own
    open_all(driver, page)
    return [*driver.get_log("browser"), *outside(driver)]


def prefer(driver: Driver, scheme: str | None) -> None:
    """Emulate a colour scheme; None ends it."""
    features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def faults_of(driver: Driver) -> list[tuple[str, list[Any]]]:
    """What axe-core finds serious or critical in the page as it stands, with where."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    driver.execute_script(next(Path(axe.__file__).parent.glob("**/axe.min.js")).read_text())
    # The drawings inside a chart are hidden from assistive technology; walking them takes minutes.
    run = "const done = arguments[0]; axe.run({exclude: ['.plot svg']}, {resultTypes: ['violations']}).then(done)"
    found = driver.execute_async_script(run)["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [(fault["id"], [node["target"] for node in fault["nodes"]][:5]) for fault in serious]


def serious_faults(driver: Driver, page: str, scheme: str) -> list[tuple[str, list[Any]]]:
    """Those of a report, opened with every section under a colour scheme."""
    prefer(driver, scheme)
    open_all(driver, page)
    found = faults_of(driver)
    prefer(driver, None)
    return found


# How far a title of an axis reaches beyond its chart, where it would be cut off.
_CUT_OFF = """return Math.max(0, ...Array.from(document.querySelectorAll('.plot .xtitle'), title => {
    const text = title.getBoundingClientRect(), chart = title.ownerSVGElement.getBoundingClientRect();
    return text.width ? Math.max(text.right - chart.right, chart.left - text.left) : 0; }))"""


def width_on_a_phone(driver: Driver, page: str) -> float:
    """Pixels that the page takes of a phone's 390, and what is cut off of an axis title beyond it."""
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    open_all(driver, page)
    width: float = driver.execute_script("return document.documentElement.scrollWidth")
    width += driver.execute_script(_CUT_OFF)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    return width
