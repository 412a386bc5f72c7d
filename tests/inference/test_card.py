import json

import pytest

from study.inference.card import model_card

META = {"family": "cnn", "study": "mnist", "run": "cnn-final-seed0", "n_classes": 10, "dataset": {"name": "mnist"}}


def front(card):
    assert card.startswith("---\n")
    return card.split("---\n")[1]


def test_the_card_says_up_to_which_coverage_the_answer_stands_alone() -> None:
    sets = {"0.95": 0.99, "0.995": 0.55, "0.999": 0.01}
    assert "Up to a coverage of 0.995 it is the answer alone" in model_card(
        {**META, "abstention": {"sets": sets}}, None
    )
    assert "answer alone" not in model_card(META, None)


def test_the_card_says_why_a_set_holds_all_classes() -> None:
    sets = {"0.95": 0.9, "0.99": 0.2, "0.999": 0.0}
    card = model_card({**META, "abstention": {**FITTED, "sets": sets}}, None)
    assert "Beyond 0.99 it holds all classes: there were too few validation images" in card
    enough = model_card({**META, "abstention": {**FITTED, "sets": {**sets, "0.999": 0.01}}}, None)
    assert "all classes" not in enough


def test_a_configuration_that_was_given_is_not_said_to_be_found() -> None:
    given, found, older = (
        model_card({**META, **about}, None) for about in ({"origin": "given"}, {"origin": "found"}, {})
    )
    assert "did not find it by search" in given
    assert "search found the configuration" in found
    assert not any("search" in line for line in older.splitlines() if "fresh seeds" in line)


def test_the_card_says_how_a_picture_is_read_again_and_what_it_costs() -> None:
    about = {"family": "cnn", "run": "cnn-t1-seed0", "once": 0.99, "shifts": 0.9915, "mended": 20, "spoiled": 5}
    gains = [{**about, "images": 10_000, "passes": 1.164}]
    card = model_card({**META, "reading": {"below": 0.95, "temperature": 0.6}, "gains": gains}, None)
    assert "calibrated probability of that answer is under 0.95" in card
    assert "On 10,000 validation images that took 1.16 passes per image, mended 20 answers and spoiled 5." in card
    assert "again, moved by one pixel up" in card
    harmed = model_card({**META, "reading": None, "gains": [{**gains[0], "mended": 2, "spoiled": 6}]}, None)
    assert "Each picture is read once. Reading it again, moved by a pixel, was tried" in harmed
    assert "## Reading" not in model_card({**META, "reading": None}, None)


def test_the_front_matter_names_licence_task_and_dataset():
    text = front(model_card(META, None))
    assert "license: mit" in text
    assert "pipeline_tag: image-classification" in text
    assert '- "mnist"' in text
    assert "model-index" not in text


def test_test_accuracy_stands_in_front_matter_and_table():
    card = model_card(META, {"test_accuracy": 0.9941, "validation_accuracy": 0.99999})
    assert "value: 0.994100" in front(card)
    assert "| accuracy | 0.9941 |" in card
    assert "0.99999" not in card


def test_without_test_results_it_quotes_no_performance():
    assert "no performance to quote" in model_card(META, {"validation_accuracy": 0.99})


def test_hostile_names_stay_inside_their_place():
    hostile = "x\n---\n<script>alert(1)</script> [a](http://b) {{7*7}}"
    card = model_card({**META, "study": hostile, "dataset": {"name": hostile}}, {"accuracy": 0.5})
    assert json.dumps(hostile) in front(card)
    assert "<script>" not in card.split("---\n", 2)[2]


FITTED = {
    "threshold": 0.97,
    "answered": 0.964,
    "error_bound": 0.00095,
    "trade_off": [{"threshold": 0.6, "answered": 0.99, "error_bound": 0.0041}],
    "refusals": [{"picture": "letter", "pictures": 50, "abstained": 0.7, "wrong": 0.3}],
}


def test_the_threshold_is_told_with_its_cost_and_its_bound_beside_others():
    card = model_card({**META, "abstention": FITTED}, None)
    assert "under a calibrated probability of 0.9700" in card
    assert "holds the upper 95 % bound of the error at 0.2 %" in card
    assert "| 0.6000 | 1.0 % | 0.410 % |\n| 0.9700 | 3.6 % | 0.095 % |\n" in card


def test_what_was_refused_is_told_by_kind():
    card = model_card({**META, "abstention": FITTED}, None)
    assert "50 of each kind" in card
    assert "| letter | 70.0 % | 30.0 % |" in card


def test_a_bound_out_of_reach_is_said_plainly():
    card = model_card({**META, "abstention": {**FITTED, "answered": 0.95, "error_bound": 0.0022}}, None)
    assert "An error bound of 0.2 % would leave more than 5.0 % of clean images open" in card
    assert "does not reach the bound" in card


def test_named_classes_are_listed_and_numbers_are_not():
    assert "in the order of the logits" not in model_card({**META, "classes": list("0123456789")}, None)
    card = model_card({**META, "classes": ["one", "t<w>o"]}, None)
    assert r"The classes, in the order of the logits: one, t\<w\>o." in card


def test_of_other_things_than_digits_no_digit_is_spoken():
    fitted = {"abstention": {**FITTED, "hands": {"pictures": 600, "answered": 0.94, "wrong": 0.0017, "right": 0.982}}}
    clothes = model_card({**META, **fitted, "classes": ["coat", "bag"]}, None)
    used = clothes[: clothes.index("## Origin")].replace("`digit-study`", "").replace("row.digit", "")
    assert "digit" not in used.lower()
    assert "A picture of one of its classes: photo" in clothes
    digits = model_card({**META, **fitted, "classes": list("0123456789")}, None)
    assert "- digits\n" in digits
    assert "A picture with one digit: photo" in digits


def test_what_the_threshold_does_to_other_hands_is_told():
    hands = {"pictures": 600, "answered": 0.94, "wrong": 0.0017, "right": 0.982}
    card = model_card({**META, "abstention": {**FITTED, "hands": hands}}, None)
    assert "600 pictures by other pens and hands" in card
    assert "6.0 % of them open and answers 0.17 % wrongly" in card
    assert "98.2 %" in card
    assert "hands" not in model_card({**META, "abstention": FITTED}, None)


@pytest.mark.parametrize(
    ("chosen_by", "said"),
    [
        ("clean", "the lowest that holds the upper 95 % bound of the error among clean images"),
        ("hands", "the lowest that holds the upper 95 % bound of the error among pictures by other pens"),
        ("floor", "every answer to a clean image that is likelier than not is given"),
        ("cost", "A higher threshold would leave more than 5.0 % of clean images open."),
        ("whim", "the lowest that holds the upper 95 % bound of the error at 0.2 %"),
    ],
)
def test_what_the_threshold_was_chosen_by_is_said(chosen_by, said):
    card = model_card({**META, "abstention": {**FITTED, "chosen_by": chosen_by}}, None)
    assert card.count(said) == 1
    assert card.count("upper 95 %") == (chosen_by in ("clean", "hands", "whim"))
