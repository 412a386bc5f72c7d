from typing import Any

import pytest

from study.records.trial import ending_of


def _line(state: str, reason: str | None, *, counted: bool = True, **more: Any) -> dict[str, Any]:
    return {"state": state, "reason": reason, "counted": counted, **more}


@pytest.mark.parametrize(
    ("line", "ending"),
    [
        (_line("COMPLETE", None), "complete"),
        (_line("PRUNED", "pruned at 300 examples"), "pruned"),
        (_line("PRUNED", "stopped at a rung: the budget of the search was used up"), "budget"),
        (_line("FAIL", "the loss is not finite"), "failed"),
        (_line("FAIL", "its worker died (exit status -9)", counted=False), "interrupted"),
        (_line("FAIL", "withdrawn: the search ended before it began", counted=False), "withdrawn"),
    ],
)
def test_lines_without_an_ending_tell_it_by_their_state_and_reason(line: dict[str, Any], ending: str) -> None:
    assert ending_of(line) == ending


def test_what_is_recorded_decides_and_not_the_words_of_the_reason() -> None:
    assert ending_of(_line("PRUNED", "worse than its rivals", ending="pruned")) == "pruned"
    assert ending_of(_line("PRUNED", "pruned by the clock", ending="budget")) == "budget"
