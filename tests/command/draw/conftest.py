"""A browser that may reach a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import chromium
import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Driver]:
    driver = chromium.start(offline=False)
    yield driver
    driver.quit()
