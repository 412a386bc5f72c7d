"""Every page of every Optuna study of a study, in a real headless Chromium; skipped where there is none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import MARKS, Driver, start, wait
from optuna.storages import RDBStorage
from shown_study import write_shown

from study.command.dashboard import application
from study.command.guard import hosts_of, make_server_at
from study.records.paths import StudyFiles

pytestmark = [*MARKS, pytest.mark.usefixtures("fast_disk")]
# A page's address and what it has once it is drawn.
_DRAWN = "document.querySelectorAll('.main-svg').length > 1"
PAGES = {
    "": _DRAWN,
    "/analytics": _DRAWN,
    "/trials": "document.body.innerText.includes('trial_id=')",
    "/smartSelection": "document.querySelectorAll('tbody tr').length > 1 && document.querySelector('.main-svg')",
    "/note": "document.body.innerText.includes('Note')",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Driver]:
    driver = start(offline=False)
    yield driver
    driver.quit()


@contextlib.contextmanager
def served(files: StudyFiles) -> Iterator[str]:
    with make_server_at(application(files, None, hosts_of("127.0.0.1"), write=False), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def complaints(browser: Driver) -> list[Any]:
    """What the console says, but for the browser's own words about drawing without a graphics card."""
    return [entry for entry in browser.get_log("browser") if entry.get("source") != "rendering"]


@pytest.mark.parametrize(
    ("families", "live"),
    [
        (["mlp"], True),
        pytest.param(["mlp", "cnn"], True, marks=pytest.mark.slow),
        pytest.param(["mlp", "cnn"], False, marks=pytest.mark.slow),
        pytest.param(["mlp", "cnn", "mixer", "other"], True, marks=pytest.mark.slow),
        pytest.param(["mlp", "cnn", "mixer", "other"], False, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:optuna.importance._ped_anova.evaluator")
def test_no_page_of_any_study_has_an_error(
    families: list[str], live: bool, files: StudyFiles, storage: RDBStorage, browser: Driver
) -> None:
    write_shown(files, storage, families, live=live)
    with served(files) as address:
        for number in range(1, len(families) + 3):
            for page, drawn in PAGES.items():
                browser.get(f"{address}/dashboard/studies/{number}{page}")
                wait(browser, drawn, seconds=60)
        browser.get("about:blank")
    assert complaints(browser) == []


def test_a_candidate_is_shown_with_its_pictures_and_leads_to_the_report(
    files: StudyFiles, storage: RDBStorage, browser: Driver
) -> None:
    write_shown(files, storage, ["mlp"], live=False)
    with served(files) as address:
        browser.get(f"{address}/dashboard/studies/2/trials?numbers=0")
        wait(browser, "document.body.innerText.includes('A candidate: trial mlp #4')", seconds=60)
        pictures = "[...document.querySelectorAll('img[src*=\"/artifacts/\"]')]"
        wait(browser, f"{pictures}.length === 4 && {pictures}.every(one => one.naturalWidth > 100)", seconds=60)
        browser.execute_script("[...document.links].find(link => link.textContent === 'The report').click()")
        wait(browser, "document.body.innerText.includes('The whole report')", seconds=60)
        browser.get("about:blank")
    assert complaints(browser) == []
