from __future__ import annotations

import pytest

from study.report.spaces import space_rows


@pytest.mark.parametrize(
    ("text", "rule", "when"),
    [
        ("dropout = 0.1", "fixed: 0.1", ""),
        ("width = [64, 32]", "fixed: [64, 32]", ""),
        ("depth = { low = 1, high = 5 }", "1 to 5", ""),
        ("rate = { low = 0.1, high = 1.0, log = true }", "0.1 to 1.0, log", ""),
        ("width = { low = 8, high = 32, step = 4, repeat = 'stages' }", "8 to 32, step 4, once per stages", ""),
        ("a = { choices = ['relu', true, 3] }", "one of relu, true, 3", ""),
        (
            "m = { low = 0.8, high = 0.9, when = { optimizer = ['sgd', 'rmsprop'] } }",
            "0.8 to 0.9",
            "optimizer is sgd or rmsprop",
        ),
        ("[[parameter]]\nname = 'p'\nlow = 1\nhigh = 2\nwhen = { x = true }", "1 to 2", "x is true"),
    ],
)
def test_a_space_is_shown_as_its_file_says(text: str, rule: str, when: str) -> None:
    (row,) = space_rows(f"family = 'cnn'\n{text}\n[[warm_start]]\nx = 1")
    assert (row["rule"], row["when"]) == (rule, when)


def test_a_text_that_is_no_toml_has_no_rows() -> None:
    assert space_rows("= nonsense") == []
