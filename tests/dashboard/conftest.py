from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _fast(fast_disk: None) -> None:
    """What is shown is worth no wait for the disk in tests."""
