"""The page in a real headless Chromium, drawn upon with mouse, finger and keys; skipped where there is none."""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import MARKS, Driver, faults_of, prefer, requests, wait

from study.command.draw.server import Drawing, application
from study.command.guard import hosts_of, make_server_at
from study.inference.predictor import Predictor
from study.records.paths import StudyFiles

pytestmark = MARKS
Points = list[tuple[float, float]]
SEVEN: Points = [(110, 90), (200, 90), (288, 92), (270, 140), (240, 200), (215, 260), (195, 320)]
ROUND: Points = [(200 + 90 * math.sin(t / 4), 200 - 130 * math.cos(t / 4)) for t in range(27)]


@pytest.fixture
def page(shipped_study: StudyFiles, browser: Driver) -> Iterator[str]:
    """The page's address, opened in the browser."""
    app = application(Drawing("small", shipped_study.model, shipped_study), hosts_of("127.0.0.1"))
    with make_server_at(app, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/draw"
        browser.get(address)
        yield address
        browser.get("about:blank")
        server.shutdown()


def on_screen(driver: Driver, points: Points) -> list[tuple[int, int]]:
    """Points of the paper's 400 x 400 where they are in the window."""
    box = driver.execute_script(
        "document.getElementById('paper').scrollIntoView({block: 'nearest'});"
        "const box = document.getElementById('paper').getBoundingClientRect(); return [box.left, box.top, box.width]"
    )
    left, top, width = box
    return [(round(left + x * width / 400), round(top + y * width / 400)) for x, y in points]


def draw(driver: Driver, points: Points, *, lift: bool = True) -> Any:
    """The actions made, which end with the pen down if it is not to be lifted."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(driver, duration=5)
    first, *rest = on_screen(driver, points)
    actions.pointer_action.move_to_location(*first)
    actions.pointer_action.pointer_down()
    for place in rest:
        actions.pointer_action.move_to_location(*place)
    if lift:
        actions.pointer_action.pointer_up()
    actions.perform()
    return actions


def touch(driver: Driver, points: Points) -> None:
    first, *rest = [{"x": x, "y": y} for x, y in on_screen(driver, points)]
    for kind, places in (("touchStart", [first]), *(("touchMove", [place]) for place in rest), ("touchEnd", [])):
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def press(driver: Driver, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver, duration=5).send_keys(*keys).perform()


def settled(driver: Driver) -> None:
    """Until what is shown is about all that was drawn."""
    wait(driver, "document.body.dataset.shown === String(version) && !asking")


def shown(driver: Driver) -> dict[str, Any]:
    settled(driver)
    found: dict[str, Any] = driver.execute_script(
        "return {said: at('said').textContent, why: at('why').textContent, set: at('set').textContent,"
        " digit: at('digit').textContent.trim(), readings: readings,"
        " rows: Array.from(at('finalists').rows, row => row.cells[1].textContent),"
        " bars: Array.from(document.querySelectorAll('#bars .bar'), bar => parseFloat(bar.style.width) / 100)}"
    )
    return found


def drawing(driver: Driver) -> io.BytesIO:
    address: str = driver.execute_script("return at('paper').toDataURL('image/png')")
    return io.BytesIO(base64.b64decode(address.partition(",")[2]))


def test_what_is_drawn_is_read_as_predict_reads_the_same_picture(
    page: str, browser: Driver, shipped_study: StudyFiles
) -> None:
    draw(browser, SEVEN)
    found = shown(browser)
    (said,) = Predictor.load(shipped_study.model).predict([drawing(browser)], top_k=10)
    assert said.label == "7"
    assert found["digit"] == said.label
    assert ("left open" in found["said"]) == (said.status != "ok")
    assert found["why"] == (said.reason or "")
    assert found["set"] == f"set: {', '.join(said.set_labels)}"
    by_class = {entry["digit"]: entry["probability"] for entry in said.top_k}
    assert found["bars"] == pytest.approx([by_class[digit] for digit in range(10)], abs=1e-4)
    assert found["rows"] == [opinion["label"] for opinion in found["readings"][0]["finalists"]]
    assert browser.get_log("browser") == []


def test_it_is_read_while_one_draws(page: str, browser: Driver) -> None:
    actions = draw(browser, SEVEN, lift=False)
    assert shown(browser)["digit"] == "7"
    actions.clear_actions()


def test_undo_takes_the_last_stroke_and_clear_all(page: str, browser: Driver) -> None:
    empty = drawing(browser).read()
    draw(browser, ROUND)
    one = drawing(browser).read()
    draw(browser, SEVEN)
    assert drawing(browser).read() != one
    browser.find_element("id", "undo").click()
    assert drawing(browser).read() == one
    draw(browser, SEVEN)
    browser.find_element("id", "clear").click()
    assert drawing(browser).read() == empty
    assert shown(browser)["said"] == "Nothing is drawn yet."
    assert not browser.find_element("id", "undo").is_enabled()


def test_it_is_drawn_with_keys_alone(page: str, browser: Driver) -> None:
    from selenium.webdriver.common.keys import Keys

    press(browser, Keys.TAB, " ", *[Keys.ARROW_DOWN] * 15, " ")
    assert shown(browser)["digit"] == "1"
    press(browser, Keys.ARROW_LEFT, " ", "u")
    assert browser.execute_script("return strokes.length") == 1
    press(browser, "c")
    assert browser.execute_script("return strokes.length") == 0


def test_a_stroke_with_the_mouse_lifts_the_pen_of_the_keys(page: str, browser: Driver) -> None:
    from selenium.webdriver.common.keys import Keys

    press(browser, Keys.TAB, " ", Keys.ARROW_DOWN)
    draw(browser, SEVEN)
    press(browser, Keys.ARROW_DOWN)
    assert browser.execute_script("return [strokes.length, pen.down]") == [2, False]
    assert browser.get_log("browser") == []


def test_two_digits_are_read_one_by_one_where_that_is_asked_for(page: str, browser: Driver) -> None:
    for left in (-90, 90):
        draw(browser, [(left + 200 + 0.35 * (x - 200), 100 + 0.6 * (y - 90)) for x, y in SEVEN])
    found = shown(browser)
    assert found["said"].startswith("left open")
    assert "reads them one by one" in found["why"]
    browser.find_element("id", "several").click()
    wait(browser, "readings.length === 2")
    assert len(browser.find_elements("css selector", "#parts button")) == 2
    browser.find_elements("css selector", "#parts button")[1].click()
    assert shown(browser)["said"].startswith("digit 2 of 2: ")


def test_a_finger_draws_on_a_phone_and_nothing_is_wider_than_it(page: str, browser: Driver) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        browser.get(page)
        touch(browser, SEVEN)
        assert shown(browser)["digit"] == "7"
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        answer = browser.execute_script("return document.querySelector('.answer').getBoundingClientRect().bottom")
        assert answer <= 844  # it is seen without scrolling
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_server_that_has_ended_is_said(page: str, browser: Driver) -> None:
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        draw(browser, SEVEN)
        assert "does the command that serves this page still run" in shown(browser)["why"]
    finally:
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline | {"offline": False})
        browser.get_log("browser")


def test_every_request_stays_on_the_server(page: str, browser: Driver) -> None:
    requests(browser)
    browser.get(page)
    draw(browser, SEVEN)
    settled(browser)
    assert [url for url in requests(browser) if not url.startswith((page, "data:", "blob:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: str, browser: Driver, scheme: str) -> None:
    prefer(browser, scheme)
    draw(browser, SEVEN)
    settled(browser)
    assert faults_of(browser) == []
    prefer(browser, None)
