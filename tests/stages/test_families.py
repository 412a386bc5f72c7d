"""Which families a command means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_spaces import TINY_SPACES

from study.errors import ResumeError, UsageError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, save_settings
from study.space.bundled import bundled_spaces
from study.stages.families import choose_families
from study.stages.request import Request

MIXER = bundled_spaces()["mixer"]
Settings = Callable[..., StudySettings]


def test_without_flags_the_two_defaults_are_compared() -> None:
    spaces = choose_families((), None, None)
    assert list(spaces) == ["mlp", "cnn"]
    assert spaces["mlp"].text == bundled_spaces()["mlp"].read_text(encoding="utf-8")


def test_a_space_adds_a_family_to_the_defaults_or_takes_the_place_of_its_own(tiny_spaces: dict[str, Path]) -> None:
    spaces = choose_families((MIXER, tiny_spaces["mlp"]), None, None)
    assert list(spaces) == ["mlp", "cnn", "mixer"]
    assert spaces["mlp"].text == TINY_SPACES["mlp"]
    assert spaces["cnn"].text == bundled_spaces()["cnn"].read_text(encoding="utf-8")


def test_families_selects_bundled_and_given_ones(tiny_spaces: dict[str, Path]) -> None:
    spaces = choose_families((tiny_spaces["cnn"],), ("mixer", "cnn"), None)
    assert list(spaces) == ["mixer", "cnn"]
    assert spaces["cnn"].text == TINY_SPACES["cnn"]


@pytest.mark.parametrize(
    ("given", "selected", "said"),
    [
        ((), ("mlp", "transformer"), "'transformer' is unknown: expected some of cnn, mixer, mlp"),
        ((MIXER,), ("mlp", "cnn"), "of family 'mixer', which --families mlp,cnn leaves out"),
        ((MIXER, MIXER), None, "family 'mixer' was given twice"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_wrong_usage(
    given: tuple[Path, ...], selected: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        choose_families(given, selected, None)


def test_a_study_keeps_its_families_and_takes_further_ones(
    make_settings: Settings, tiny_spaces: dict[str, Path]
) -> None:
    stored = make_settings()
    for given, selected in (((MIXER,), None), ((), ("mixer", "mlp", "cnn")), ((tiny_spaces["mlp"], MIXER), None)):
        spaces = choose_families(given, selected, stored)
        assert list(spaces) == ["mlp", "cnn", "mixer"]
        assert spaces["mlp"].text == TINY_SPACES["mlp"]
    assert list(choose_families((), None, make_settings(spaces={"mlp": TINY_SPACES["mlp"]}))) == ["mlp"]


def test_a_selection_that_drops_a_stored_family_names_the_one_that_does_not(make_settings: Settings) -> None:
    with pytest.raises(ResumeError, match="continue it with --families mlp,cnn,mixer, or"):
        choose_families((), ("mlp", "mixer"), make_settings())
    assert "mixer" in choose_families((), ("mlp", "cnn", "mixer"), make_settings())


def test_another_space_of_a_stored_family_is_refused(make_settings: Settings) -> None:
    with pytest.raises(ResumeError, match="differs from the one this study was created with"):
        choose_families((bundled_spaces()["mlp"],), None, make_settings())


def test_a_study_begun_from_another_has_its_families_and_spaces(make_settings: Settings) -> None:
    source = make_settings(spaces={"mlp": TINY_SPACES["mlp"]})
    assert {name: space.text for name, space in choose_families((), None, None, source).items()} == {
        "mlp": TINY_SPACES["mlp"]
    }
    spaces = choose_families((bundled_spaces()["mlp"], MIXER), None, None, source)
    assert list(spaces) == ["mlp", "mixer"]
    assert spaces["mlp"].text == bundled_spaces()["mlp"].read_text(encoding="utf-8")


# --- a family by itself --------------------------------------------------------------------------------------------


def request(results: Path, **fields: object) -> Request:
    known = {"command": "study run", "started": 0.0, "name": "one", "results": results, "opens_test": True}
    return Request(**(known | fields))  # type: ignore[arg-type]


def test_one_family_alone_opens_no_test_split_unless_it_is_meant_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one family, cnn: nothing is compared") as refused:
        request(tmp_path, families=("cnn",)).check("run")
    for advice in ({"families": ("cnn", "mlp")}, {"families": ("cnn",), "single_family": True}):
        request(tmp_path, **advice).check("run")
    request(tmp_path, families=("cnn",), opens_test=False).check("run")
    assert all(way in str(refused.value) for way in ("--families cnn,mlp", "--single-family", "--no-evaluate"))


@pytest.mark.parametrize("free", ["", "recorded", "evaluated", "compared"])
def test_a_stored_study_of_one_family_needs_the_flag_once(free: str, tmp_path: Path, make_settings: Settings) -> None:
    files = StudyFiles(tmp_path / "one")
    spaces = TINY_SPACES if free == "compared" else {"mlp": TINY_SPACES["mlp"]}
    save_settings(make_settings(spaces=spaces, single_family=free == "recorded"), files.settings)
    if free == "evaluated":
        files.test.mkdir()
        files.seal.write_text("{}")
    if free:
        request(tmp_path).check("evaluate")
        return
    with pytest.raises(UsageError, match="`study run --name one --families mlp,cnn`"):
        request(tmp_path).check("evaluate")


def test_only_verbs_that_search_take_a_further_family(tmp_path: Path, make_settings: Settings) -> None:
    save_settings(make_settings(), StudyFiles(tmp_path / "one").settings)
    for verb in ("run", "search"):
        request(tmp_path, spaces=(MIXER,)).check(verb)
    for verb in ("retrain", "evaluate", "examine"):
        with pytest.raises(UsageError, match=f"no family 'mixer' yet, and `study {verb}` searches none"):
            request(tmp_path, spaces=(MIXER,)).check(verb)
