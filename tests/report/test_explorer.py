"""What the explorer of trials is given, and how it behaves in a real headless Chromium."""

from __future__ import annotations

import base64
import gzip
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import MARKS, Driver, requests, wait
from synthetic import Wanted, write_study
from trials import trial

from study.records.paths import StudyFiles
from study.records.trial import Trials, read_trials
from study.report import explorer
from study.report.page import write_report
from study.report.section import Report

SCRIPT = Path(explorer.__file__).with_name("explorer.js.j2")
READY = "document.getElementById('explorer').dataset.ready === 'yes'"


def test_a_table_has_a_column_for_each_key_of_any_trial() -> None:
    table = explorer.table(
        {
            1: Trials(
                [trial(0, 0.91, config={"width": 8, "rate": 1.0}), trial(1, None, state="FAIL", config={"kind": "a"})]
            )
        },
        ["rate[sgd]", "width.0", "width.1"],
    )
    assert table["config"] == {"width": [8, None], "rate": [1.0, None], "kind": [None, "a"]}
    assert table["came"]["accuracy"] == [91.0, None]
    assert table["floats"] == ["rate"]
    assert table["first"] == ["rate", "width"]


def test_trials_of_several_searches_are_told_apart() -> None:
    table = explorer.table({1: Trials([trial(0, 0.91)]), 2: Trials([trial(0, 0.95), trial(1, 0.93)])})
    assert table["names"] == ["0 of search 1", "0 of search 2", "1 of search 2"]
    assert (table["against"], table["whose"]) == ("0 of search 2", "best trial")
    assert table["came"]["search"] == [1, 2, 2]


@pytest.mark.parametrize("case", ["given apart", "five searches"])
def test_every_trial_of_every_search_is_in_it_found_or_given(case: str, case_made: Callable[[str], Report]) -> None:
    report = case_made(case)
    trials = [trial for one in report.study.searches.values() for trial in one.records.counted]
    found = report[explorer]
    assert found.trials == len(trials)
    tables = json.loads(gzip.decompress(base64.b64decode(found.packed)))["families"].values()
    assert sum(table["came"]["origin"].count("warm_start") for table in tables) == len(
        [t for t in trials if t.role == "warm_start"]
    )
    assert all(len(set(table["names"])) == len(table["names"]) for table in tables)


def test_a_search_without_trials_is_an_empty_table() -> None:
    assert explorer.table({1: Trials()})["came"]["trial"] == []


def test_the_page_says_of_which_searches_the_trials_are(case_page: Callable[[str], str]) -> None:
    assert "<p>Every trial, found or given: drag" in case_page("given apart")
    several = case_page("two searches")
    assert "<p>Every trial of every search, found or given: drag" in several
    assert "each folder of <code>repeats/</code>" in several


def test_the_script_is_small() -> None:
    assert SCRIPT.stat().st_size < 40_000


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    files = write_study(tmp_path_factory.mktemp("explored") / "study", Wanted(trials=24))
    write_report(files)
    return files


@pytest.fixture
def page(study: StudyFiles, browser: Driver) -> Iterator[str]:
    """The address of the page, opened at the explorer."""
    address = f"{study.report_html.as_uri()}#mattered?family=cnn"
    browser.get("about:blank")
    requests(browser)
    browser.get(address)
    wait(browser, READY)
    yield address
    assert browser.get_log("browser") == []


def said(browser: Driver, part: str) -> str:
    return str(browser.execute_script(f"return document.querySelector('#explorer [data-part={part}]').textContent"))


def press(browser: Driver, axis: str, key: str, *, times: int = 1, shift: bool = False) -> None:
    browser.execute_script(
        "for (let i = 0; i < arguments[2]; i++) document.querySelector(`#explorer [data-key='${arguments[0]}']`)"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: arguments[1], shiftKey: arguments[3], bubbles: true}))",
        *(axis, key, times, shift),
    )


def rows(browser: Driver) -> list[list[str]]:
    found: list[list[str]] = browser.execute_script(
        "return [...document.querySelectorAll('#explorer tr[data-row]')].map(r => [...r.cells].map(c => c.textContent))"
    )
    return found


@pytest.mark.usefixtures("page")
class TestInABrowser:
    pytestmark = MARKS

    def test_brushes_on_several_axes_keep_the_trials_within_all_of_them(self, browser: Driver) -> None:
        everything = said(browser, "count")
        press(browser, "accuracy", "ArrowDown")
        one = said(browser, "count")
        assert int(one.split()[0]) < int(everything.split()[0])
        second = browser.execute_script(
            "return document.querySelectorAll('#explorer [data-part=labels] button')[1].dataset.key"
        )
        press(browser, second, "ArrowDown", times=3)
        assert int(said(browser, "count").split()[0]) <= int(one.split()[0])
        press(browser, second, "Escape")
        assert said(browser, "count") == one
        press(browser, "accuracy", "Escape")
        assert said(browser, "count") == everything

    def test_the_address_keeps_what_is_seen(self, browser: Driver) -> None:
        press(browser, "accuracy", "ArrowDown")
        browser.execute_script("document.querySelector('#explorer tr[data-row]').click()")
        wait(browser, "location.hash.includes('brush=') && location.hash.includes('trial=')")
        before = said(browser, "count"), said(browser, "name"), browser.current_url
        browser.get("about:blank")
        browser.get(before[2])
        wait(browser, READY)
        assert (said(browser, "count"), said(browser, "name")) == before[:2]

    def test_a_chosen_trial_s_configuration_is_the_one_that_was_trained(
        self, browser: Driver, study: StudyFiles
    ) -> None:
        browser.execute_script("document.querySelector('#explorer tr[data-row]').click()")
        family, _, number = said(browser, "name").partition(" #")
        config = next(t.config for t in read_trials(study.trials_jsonl).of(family) if t.number == int(number))
        assert tomllib.loads(said(browser, "toml")) == config
        told = re.fullmatch(
            r"Against the finalist of its family, #(\d+), it differs in (\d+) of \d+ keys:", said(browser, "differs")
        )
        assert told is not None
        lines = browser.execute_script("return document.querySelectorAll('#explorer [data-part=diff] tr').length")
        assert lines == 1 + int(told[2])
        place = [cells[0] for cells in rows(browser)].index(told[1])
        browser.execute_script(f"document.querySelectorAll('#explorer tr[data-row]')[{place}].click()")
        assert said(browser, "differs") == "It is the finalist of its family."

    def test_rows_sort_by_a_click_and_are_filtered_by_words(self, browser: Driver) -> None:
        accuracies = [float(cells[1]) for cells in rows(browser) if cells[1] != "–"]
        assert accuracies == sorted(accuracies, reverse=True)
        browser.execute_script("document.querySelector('#explorer th[data-key=trial] button').click()")
        numbers = [int(cells[0]) for cells in rows(browser)]
        assert numbers == sorted(numbers, reverse=True)
        box = browser.find_element("css selector", "#explorer [data-part=filter]")
        box.send_keys("failed")
        assert rows(browser)
        assert {cells[2] for cells in rows(browser)} == {"failed"}
        browser.execute_script("document.querySelector('#explorer [data-part=clear]').click()")
        assert len(rows(browser)) == len(numbers)

    def test_a_drag_along_an_axis_brushes_it_and_a_click_lets_go(self, browser: Driver) -> None:
        drag = (
            "const over = document.querySelector('#explorer [data-part=over]'), box = over.getBoundingClientRect();"
            "over.setPointerCapture = () => {};"
            "arguments[0].forEach(([kind, y]) => over.dispatchEvent(new PointerEvent("
            "kind, {clientX: box.left + 40, clientY: box.top + y, bubbles: true})))"
        )
        everything = said(browser, "count")
        browser.execute_script(drag, [["pointerdown", 14], ["pointermove", 90], ["pointerup", 90]])
        assert said(browser, "count") != everything
        browser.execute_script(drag, [["pointerdown", 50], ["pointerup", 50]])
        assert said(browser, "count") == everything

    def test_a_drag_does_nothing_where_no_axis_is_left(self, browser: Driver) -> None:
        browser.execute_script(
            "document.querySelectorAll('#explorer [data-part=axes] input:checked').forEach(tick => tick.click());"
            "const over = document.querySelector('#explorer [data-part=over]'), box = over.getBoundingClientRect();"
            "over.setPointerCapture = () => {};"
            "[['pointerdown', 14], ['pointermove', 90], ['pointerup', 90]].forEach(([kind, y]) => over.dispatchEvent("
            "new PointerEvent(kind, {clientX: box.left + 40, clientY: box.top + y, bubbles: true})))"
        )
        shown, _, of = said(browser, "count").partition(" of ")
        assert of == f"{shown} trials"

    def test_the_down_arrow_reaches_every_trial(self, browser: Driver) -> None:
        n = int(said(browser, "count").split()[0])
        seen = browser.execute_script(
            "document.querySelector('#explorer tr[data-row]').focus();"
            "return Array.from({length: arguments[0]}, () => { const row = document.activeElement.dataset.row;"
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}));"
            "return row; })",
            n,
        )
        assert n > len(rows(browser))  # not all are rendered at once
        assert len(set(seen)) == n

    def test_rows_follow_a_scroll_away_from_the_focused_one(self, browser: Driver) -> None:
        browser.execute_script(
            "document.querySelector('#explorer tr[data-row]').focus();"
            "document.querySelector('#explorer [data-part=rows]').scrollTop = 1e6"
        )
        wait(browser, "'row' in document.querySelector('#explorer tbody').lastChild.dataset")
        assert browser.execute_script("return document.activeElement.dataset.part") == "rows"

    def test_another_family_is_shown_without_the_brushes_of_the_first(self, browser: Driver) -> None:
        press(browser, "accuracy", "ArrowDown")
        browser.execute_script(
            "const family = document.querySelector('#explorer [data-part=family]'); family.value = 'mlp';"
            "family.dispatchEvent(new Event('change'))"
        )
        shown, _, of = said(browser, "count").partition(" of ")
        assert of == f"{shown} trials"
