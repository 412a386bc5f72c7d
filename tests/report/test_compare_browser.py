"""The comparison's page in a real headless Chromium with the network away; skipped where there is none."""

from __future__ import annotations

import pytest
from cases import HOSTILE, HOSTILE_STUDY
from chromium import MARKS, Driver, complaints, serious_faults, start, width_on_a_phone
from synthetic import Wanted, write_study

from study.report.comparison.page import write_comparison

pytestmark = MARKS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("plain")
    other = Wanted(accuracy={"cnn": 0.99, "mixer": 0.98}, trials=12, draw=1, activations=("relu", "tanh"))
    clothes = Wanted(accuracy={"cnn": 0.91}, trials=12, draw=2, dataset="fashion-mnist", examined=True)
    wanted = {"first": Wanted(trials=12, examined=True), "second": other, "clothes": clothes}
    return write_comparison([write_study(root / name, one) for name, one in wanted.items()])[0].as_uri()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("hostile")
    other = Wanted(trials=12, draw=1, dataset=HOSTILE_STUDY.dataset, classes=HOSTILE_STUDY.classes)
    studies = [write_study(root / HOSTILE.replace("/", "-"), HOSTILE_STUDY), write_study(root / ("x" * 64), other)]
    return write_comparison(studies)[0].as_uri()


def test_every_chart_is_drawn_without_a_request_or_a_console_error(browser: Driver, page: str) -> None:
    assert complaints(browser, page) == []
    assert len(browser.find_elements("css selector", ".plot[data-drawn]")) == 3


def test_hostile_names_do_nothing(browser: Driver, hostile_page: str) -> None:
    assert complaints(browser, hostile_page) == []
    assert browser.find_elements("css selector", "img, a[href^='http'], [onclick]") == []
    assert HOSTILE.replace("/", "-") in browser.find_element("tag name", "body").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Driver, page: str, scheme: str) -> None:
    assert serious_faults(browser, page, scheme) == []


@pytest.mark.parametrize("which", ["page", "hostile_page"])
def test_nothing_is_wider_than_a_phone(browser: Driver, which: str, request: pytest.FixtureRequest) -> None:
    assert width_on_a_phone(browser, request.getfixturevalue(which)) <= 390


def test_without_javascript_findings_and_tables_are_there(page: str) -> None:
    driver = start(javascript=False)
    try:
        driver.get(page)
        text = driver.find_element("tag name", "body").text
        assert "Between different test images no difference is taken" in text
        assert "The protocols differ in" in text
        assert driver.find_elements("css selector", "table.sortable tbody tr")
        assert driver.find_element("css selector", "#cost .plot noscript").size["height"] > 10
        assert driver.get_log("browser") == []
    finally:
        driver.quit()
