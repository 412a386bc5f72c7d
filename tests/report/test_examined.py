"""What an ablation and an audit are told to show."""

from __future__ import annotations

import pytest

from study.report.examined import audit_sentence

AUDIT = {"pruned": 31, "drawn": 20, "judged": 20, "beaten": 0, "bound95": 0.139}


@pytest.mark.parametrize(
    ("pruned", "since"),
    [(31, ""), (32, " Since then 1 trial more was pruned."), (40, " Since then 9 trials more were pruned.")],
)
def test_an_audit_of_a_search_that_has_gone_on_says_so(pruned: int, since: str) -> None:
    assert audit_sentence(AUDIT, pruned).endswith(f"would.{since}")
