import json

from study.inference.card import model_card

META = {"family": "cnn", "study": "mnist", "run": "cnn-final-seed0", "n_classes": 10, "dataset": {"name": "mnist"}}


def front(card):
    assert card.startswith("---\n")
    return card.split("---\n")[1]


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


def test_the_threshold_is_told_with_its_bound():
    fitted = {"threshold": 0.97, "answered": 0.982, "error_bound": 0.00095, "refused": {"blank": 1.0}}
    card = model_card({**META, "abstention": fitted}, None)
    assert "0.9700" in card
    assert "98.2 %" in card
    assert "| blank | 100.0 % |" in card
