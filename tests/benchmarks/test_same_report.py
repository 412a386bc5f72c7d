from __future__ import annotations

from same_report import differences

BEFORE = {
    "written": "yesterday",
    "families": {"families": [{"best": {"nll": 0.5, "value": 0.9}}]},
    "health": {"held_seconds": 3.0, "failures": []},
}


def test_a_renamed_key_and_the_clock_are_no_difference() -> None:
    after = {
        "written": "today",
        "families": {"families": [{"best": {"nll_scaled": 0.5, "value": 0.9}}]},
        "health": {"held_seconds": 4.0, "failures": []},
    }
    assert differences(BEFORE, after) == []


def test_every_other_difference_is_named() -> None:
    after = {"written": "today", "families": {"families": [{"best": {"nll_scaled": 0.4}}]}, "health": {"failures": [1]}}
    assert sorted(differences(BEFORE, after)) == [
        "families/families/0/best/nll_scaled: 0.5 and 0.4",
        "families/families/0/best/value is gone",
        "health/failures is gone",
        "health/failures/0 is new",
    ]


def test_the_order_of_a_sum_is_no_difference() -> None:
    assert differences({"se": 0.1 + 0.2 + 0.3}, {"se": 0.3 + 0.2 + 0.1}) == []
    assert differences({"se": 0.1}, {"se": 0.1000000001}) == ["se: 0.1 and 0.1000000001"]
