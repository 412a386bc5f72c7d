from __future__ import annotations

import pytest

from study.space.rows import readable, rules

BESIDE = "optimizer = { choices = ['sgd', 'rmsprop'] }\nx = { choices = [true, false] }\nstages = { low = 1, high = 3 }"


@pytest.mark.parametrize(
    ("text", "rule", "when"),
    [
        ("p = 0.1", "fixed: 0.1", ""),
        ("p = [64, 32]", "fixed: [64, 32]", ""),
        ("p = { low = 1, high = 5 }", "1 to 5", ""),
        ("p = { low = 0.1, high = 1.0, log = true }", "0.1 to 1.0, log", ""),
        ("p = { low = 8, high = 32, step = 4, repeat = 'stages' }", "8 to 32, step 4, once per stages", ""),
        ("p = { choices = ['relu', true, 3] }", "one of relu, true, 3", ""),
        (
            "p = { low = 0.8, high = 0.9, when = { optimizer = ['sgd', 'rmsprop'] } }",
            "0.8 to 0.9",
            "optimizer is sgd or rmsprop",
        ),
        ("[[parameter]]\nname = 'p'\nlow = 1\nhigh = 2\nwhen = { x = true }", "1 to 2", "x is true"),
    ],
)
def test_a_space_is_shown_as_its_file_says(text: str, rule: str, when: str) -> None:
    space = readable(f"family = 'cnn'\n{BESIDE}\n{text}", "a test")
    assert space is not None
    shown = rules(space)
    assert [row.name for row in shown] == ["optimizer", "x", "stages", "p"]
    assert (shown[-1].rule, shown[-1].when) == (rule, when)


def test_a_text_that_is_no_space_is_not_readable() -> None:
    assert readable("= nonsense", "a test") is None
