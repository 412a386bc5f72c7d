from __future__ import annotations

from collections.abc import Callable
from typing import Any

from study.records.paths import StudyFiles
from study.report.comparison.spaces import space_summary

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def test_a_comment_does_not_make_another_space() -> None:
    text = 'family = "mlp"\ndepth = { low = 1, high = 3 }\ndropout = 0.1\n[[warm_start]]\ndepth = 2\n'
    same = space_summary("# known good\n" + text)
    assert same == space_summary(text)
    assert (same.searched, same.fixed, same.warm_starts) == (1, 1, 1)
    assert same.digest != space_summary(text.replace("high = 3", "high = 4")).digest


def test_a_space_that_is_no_toml_is_compared_as_text() -> None:
    assert space_summary("not toml").digest != space_summary("not toml either").digest
