"""The page in a real headless Chromium with the network away; skipped where there is none."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import HOSTILE, HOSTILE_STUDY
from synthetic import Wanted, write_study

from study.report.page import write_report

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
# Where STUDY_TESTS_REQUIRE names it, a missing browser is a failure and not a skip.
MAY_SKIP = "chromium" not in os.environ.get("STUDY_TESTS_REQUIRE", "")
MISSING = CHROMIUM is None or DRIVER is None
pytestmark = [
    pytest.mark.skipif(MAY_SKIP and MISSING, reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(MAY_SKIP and not importlib.util.find_spec("selenium"), reason="selenium is not installed"),
    # The driver's own sockets are closed by its end, not by the test.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
Driver = Any


def start(*, javascript: bool = True) -> Driver:
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
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not javascript})
    return driver


@pytest.fixture(scope="module")
def browser() -> Iterator[Driver]:
    driver = start()
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    wanted = Wanted(examined=True, trials=24)
    return write_report(write_study(tmp_path_factory.mktemp("plain") / "study", wanted)).as_uri()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write_study(tmp_path_factory.mktemp("hostile") / "study", HOSTILE_STUDY)).as_uri()


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


def test_every_chart_is_drawn_without_a_request_or_a_console_error(browser: Driver, page: str) -> None:
    requests(browser)
    open_all(browser, page)
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len(browser.find_elements("css selector", ".plot[data-drawn]")) >= 15


def test_hostile_names_do_nothing(browser: Driver, hostile_page: str) -> None:
    requests(browser)
    open_all(browser, hostile_page)
    assert browser.get_log("browser") == []
    assert browser.find_elements("css selector", "img[onerror], a[href^='http'], [onclick]") == []
    assert HOSTILE in browser.find_element("tag name", "body").text
    assert [url for url in requests(browser) if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Driver, page: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    script = next(Path(axe.__file__).parent.glob("**/axe.min.js")).read_text()
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    open_all(browser, page)
    browser.execute_script(script)
    # The drawings inside a chart are hidden from assistive technology; walking them takes minutes.
    run = "const done = arguments[0]; axe.run({exclude: ['.plot svg']}, {resultTypes: ['violations']}).then(done)"
    found = browser.execute_async_script(run)["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [node["target"] for node in v["nodes"]][:5]) for v in serious] == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_charts_follow_the_colour_scheme(browser: Driver, page: str) -> None:
    colours = []
    for scheme in ("light", "dark"):
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
        open_all(browser, page)
        colours.append(
            browser.execute_script(
                "return [getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('.plot .xtick text')).fill]"
            )
        )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    (light_ground, light_text), (dark_ground, dark_text) = colours
    assert light_ground != dark_ground
    assert light_text != dark_text


def test_the_leaderboard_sorts_by_a_click(browser: Driver, page: str) -> None:
    browser.get(page)
    head = browser.find_elements("css selector", "table.sortable th button")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", head)

    def column() -> list[float]:
        cells = browser.find_elements("css selector", "table.sortable tbody td:nth-child(2)")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    head.click()
    assert column() == sorted(column(), reverse=True)
    head.click()
    assert column() == sorted(column())


def test_nothing_is_wider_than_a_phone(browser: Driver, page: str) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    open_all(browser, page)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390


def test_a_link_to_a_folded_section_opens_it(browser: Driver, page: str) -> None:
    browser.get(page + "#limits")
    assert wait(browser, "document.querySelector('#limits > details').open")


def test_it_prints_on_a4_with_every_section_open(browser: Driver, page: str) -> None:
    open_all(browser, page)
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    content = base64.b64decode(pdf)
    assert content.startswith(b"%PDF")
    assert b"[0 0 594.95996 841.91998]" in content or b"[0 0 595" in content


def test_without_javascript_findings_tables_and_pictures_are_there(page: str) -> None:
    driver = start(javascript=False)
    try:
        driver.get(page)
        text = driver.find_element("tag name", "body").text
        assert "is better than" in text
        assert "Leaderboard" in text
        hint = driver.find_element("css selector", "#pairwise .plot noscript")
        assert hint.size["height"] > 10
        assert driver.find_elements("css selector", "table.sortable tbody tr")
        assert driver.find_elements("css selector", "img[src^='data:image/png']")
        assert driver.get_log("browser") == []
    finally:
        driver.quit()
