from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _fast(fast_disk: None) -> None:
    """All tests of the search write hundreds of trials."""
