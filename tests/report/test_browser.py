"""The page in a real headless Chromium with the network away; skipped where there is none."""

from __future__ import annotations

import base64
import re

import pytest
from cases import HOSTILE, HOSTILE_STUDY
from chromium import MARKS, Driver, complaints, open_all, prefer, serious_faults, start, wait, width_on_a_phone
from synthetic import Wanted, write_study

from study.report.page import write_report

pytestmark = MARKS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    wanted = Wanted(examined=True, trials=24)
    return write_report(write_study(tmp_path_factory.mktemp("plain") / "study", wanted)).as_uri()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write_study(tmp_path_factory.mktemp("hostile") / "study", HOSTILE_STUDY)).as_uri()


def test_every_chart_is_drawn_without_a_request_or_a_console_error(browser: Driver, page: str) -> None:
    assert complaints(browser, page) == []
    assert len(browser.find_elements("css selector", ".plot[data-drawn]")) >= 15


def test_hostile_names_do_nothing(browser: Driver, hostile_page: str) -> None:
    assert complaints(browser, hostile_page) == []
    assert browser.find_elements("css selector", "img[onerror], a[href^='http'], [onclick]") == []
    assert HOSTILE in browser.find_element("tag name", "body").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Driver, page: str, scheme: str) -> None:
    assert serious_faults(browser, page, scheme) == []


def test_charts_follow_the_colour_scheme(browser: Driver, page: str) -> None:
    colours = []
    for scheme in ("light", "dark"):
        prefer(browser, scheme)
        open_all(browser, page)
        colours.append(
            browser.execute_script(
                "return [getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('.plot .xtick text')).fill]"
            )
        )
    prefer(browser, None)
    (light_ground, light_text), (dark_ground, dark_text) = colours
    assert light_ground != dark_ground
    assert light_text != dark_text


def test_the_leaderboard_sorts_by_a_click(browser: Driver, page: str) -> None:
    browser.get(page + "#leaderboard")
    head = browser.find_elements("css selector", "table.sortable th button")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", head)

    def column() -> list[float]:
        cells = browser.find_elements("css selector", "table.sortable tbody td:nth-child(2)")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    head.click()
    assert column() == sorted(column(), reverse=True)
    head.click()
    assert column() == sorted(column())


def test_each_section_explains_a_word_once(browser: Driver, page: str) -> None:
    browser.get(page)
    script = "return Array.from(document.querySelectorAll('#answer abbr'), word => [word.textContent, word.title])"
    explained = [(word, meaning) for word, meaning in browser.execute_script(script) if meaning]
    assert {"Holm p", "test split"} <= {word for word, _ in explained}
    assert len({meaning for _, meaning in explained}) == len(explained)
    assert browser.execute_script("return document.querySelectorAll('pre abbr, code abbr').length") == 0


def test_nothing_is_wider_than_a_phone(browser: Driver, page: str) -> None:
    assert width_on_a_phone(browser, page) <= 390


def test_a_link_to_a_folded_section_opens_it(browser: Driver, page: str) -> None:
    browser.get(page + "#limits")
    assert wait(browser, "document.querySelector('#limits > details').open")


def test_it_prints_on_a4_with_every_section_open(browser: Driver, page: str) -> None:
    open_all(browser, page)
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    content = base64.b64decode(pdf)
    assert content.startswith(b"%PDF")
    assert 5 < len(re.findall(rb"/Type\s*/Page\b", content)) <= 20
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
