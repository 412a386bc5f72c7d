import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import study
from study.data.opening import open_gray
from study.errors import ModelFileError, UsageError
from study.inference.abstain import Evidence, fit_abstention
from study.inference.answer import as_text
from study.inference.inputs import collect_inputs
from study.inference.predictor import BATCH, Predictor
from study.inference.preprocess import Prepared, look_at

KEYS = {"path", "status", "digit", "label", "probability", "top_k", "set", "flags", "reason", "box", "row"}


class Says(torch.nn.Module):
    """A network with the same logits [C] for every picture; `counts` are the pictures of each of its batches."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.counts = []

    def forward(self, pixels):
        self.counts.append(len(pixels))
        return self.logits.repeat(len(pixels), 1)


@pytest.fixture
def predictor(make_bundle):
    return Predictor.load(make_bundle())


@pytest.fixture
def folder(tmp_path, digits):
    root = tmp_path / "pictures"
    (root / "deep").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(digits[0][i]).save(root / f"{i}.png")
    Image.fromarray(digits[0][3]).save(root / "deep" / "3.PNG")
    (root / "notes.txt").write_text("no picture")
    return root


def test_it_is_the_packages_own_name():
    assert study.Predictor is Predictor


def test_it_loads_a_studys_folder_too(make_bundle):
    assert Predictor.load(make_bundle().parent).classes[3] == "3"


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(ModelFileError):
        Predictor.load(tmp_path)


def test_a_device_that_is_not_there_is_wrong_usage(make_bundle):
    with pytest.raises(UsageError, match="device 'abacus'"):
        Predictor.load(make_bundle(), device="abacus")


def test_paths_pictures_and_arrays_give_the_same_answer(predictor, folder, digits):
    path = folder / "0.png"
    answers = predictor.predict([path, str(path), Image.open(path), digits[0][0]])
    assert len({(a.digit, round(a.probability, 6)) for a in answers}) == 1
    assert [a.path for a in answers] == [str(path), str(path), "input 2", "input 3"]


def test_answers_are_the_networks_own_calibrated_ones(make_bundle, digits):
    predictor = Predictor.load(make_bundle(temperature=2.0))
    answers = predictor.predict(list(digits[0][:70]), top_k=10)
    logits = torch.from_numpy(predictor.logits(digits[0][:70]))
    expected = torch.softmax(logits / 2, dim=1)
    assert [a.digit for a in answers] == expected.argmax(1).tolist()
    assert [a.probability for a in answers] == pytest.approx(expected.max(1).values.tolist(), abs=1e-5)
    assert sum(entry["probability"] for entry in answers[0].top_k) == pytest.approx(1)


def test_it_reads_strangers_pictures(predictor, digits, strangers):
    pictures = strangers.strangers(digits[0][:40], "tiny", 0)
    answers = predictor.predict(np.asarray(open_picture(p)) for p in pictures)
    assert np.mean([a.digit == y for a, y in zip(answers, digits[1][:40], strict=True)]) > 0.8


def open_picture(data):
    import io

    return Image.open(io.BytesIO(data))


def test_one_row_per_input_in_order_whatever_fails(predictor, folder):
    inputs = [folder / "0.png", folder / "none.png", folder / "notes.txt", folder / "1.png"] * BATCH
    answers = predictor.predict(inputs)
    assert [a.path for a in answers] == [str(path) for path in inputs]
    assert [a.status for a in answers[:4]] == ["ok", "error", "error", "ok"]
    assert answers[1].digit is None
    assert "no such file" in answers[1].reason


def test_rows_hold_the_contracts_keys_and_are_strict_json(predictor, folder):
    for answer in predictor.predict([folder / "0.png", folder / "none.png"]):
        row = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
        assert set(row) == KEYS


@pytest.mark.skipif(os.sep != "/", reason="names of bytes exist on POSIX alone")
def test_a_file_name_that_is_no_text_can_be_encoded(predictor, tmp_path):
    name = os.fsdecode(b"\xff<script>.png")
    row = predictor.predict([tmp_path / name])[0].to_dict()
    assert json.dumps(row, ensure_ascii=False).encode()


def test_it_abstains_under_the_threshold_and_still_says_its_digit(predictor, folder):
    answer = predictor.predict([folder / "0.png"], threshold=1.0)[0]
    assert answer.status == "abstain"
    assert answer.digit is not None
    assert "unsure" in answer.reason


@pytest.mark.parametrize(
    ("picture", "flag"),
    [
        (np.full((50, 50), 255, np.uint8), "blank"),
        (np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.uint8), "not a digit"),
    ],
)
def test_it_abstains_on_what_is_no_digit(predictor, picture, flag):
    answer = predictor.predict([picture], threshold=0.0)[0]
    assert answer.status == "abstain"
    assert flag in answer.flags


def test_several_digits_are_refused_with_boxes_or_read_from_left_to_right(predictor, digits):
    sheet = np.zeros((40, 90), np.uint8)
    sheet[6:34, 6:34], sheet[6:34, 54:82] = digits[0][1], digits[0][2]
    refused = predictor.predict([sheet])
    assert [a.status for a in refused] == ["abstain"]
    assert refused[0].reason.startswith("2 digits, at (left top right bottom)")
    parts = predictor.predict([sheet], segment=True)
    assert [a.flags[-1] for a in parts] == ["part 1 of 2", "part 2 of 2"]
    assert [a.digit for a in parts] == [0, 4]


def written(digits, places, shape, darkness=None):
    """Dark ink on a sheet: digits of the training set at (row, column) pixels, each of its own darkness."""
    page = np.zeros(shape, np.float32)
    for i, (top, left) in enumerate(places):
        place = page[top : top + 28, left : left + 28]
        np.maximum(place, digits[0][i] * (1.0 if darkness is None else darkness[i]), out=place)
    return np.asarray(250 - page * 0.9, np.uint8)


def test_rows_are_read_one_after_another_and_every_record_has_its_box_and_row(predictor, digits):
    places = [(10 + 3 * i % 7, 10 + 40 * i) for i in range(5)] + [(60, 8 + 40 * i) for i in range(5)]
    answers = predictor.predict([written(digits, places, (100, 230))], segment=True)
    assert [a.row for a in answers] == [1] * 5 + [2] * 5
    middles = [((a.box[1] + a.box[3]) / 2 - 14, (a.box[0] + a.box[2]) / 2 - 14) for a in answers]
    assert np.allclose(middles, places, atol=6)
    assert answers[7].to_dict()["row"] == 2
    assert answers[7].to_dict()["box"] == list(answers[7].box)


def test_digits_of_different_darkness_are_all_found(predictor, digits):
    sixes = [(20, 10 + 40 * i) for i in range(10)]
    page = written(digits, sixes, (70, 420), np.linspace(0.3, 1.0, 10))
    assert len(predictor.predict([page], segment=True)) == 10


def test_what_clearly_is_a_row_is_read_as_one_and_says_so(predictor, digits):
    page = written(digits, [(20, 10 + 40 * i) for i in range(6)], (70, 260))
    answers = predictor.predict([page])
    assert [a.flags for a in answers] == [("read as a row", f"part {i} of 6") for i in range(1, 7)]
    assert [a.status for a in predictor.predict([page], segment=False)] == ["abstain"]


def test_a_lone_wide_part_is_a_row_only_where_its_pieces_are_nearly_as_high(predictor, monkeypatch):
    bar = np.full((100, 200), 255, np.uint8)
    bar[30:70, 40:160] = 0
    look = look_at(open_gray(bar))
    monkeypatch.setattr(predictor, "_sure", lambda each: float(len(each) > 1))

    def cut_into(*boxes):
        pieces = [Prepared(np.zeros((28, 28), np.uint8), box) for box in boxes]
        monkeypatch.setattr("study.inference.predictor.each_of", lambda look, read: pieces)
        return len(predictor._row_of(look))

    assert look.is_wide
    assert cut_into((40, 30, 100, 70), (100, 32, 160, 70)) == 2
    assert cut_into((40, 30, 100, 55), (100, 45, 160, 70)) == 0  # one above the other: a digit that lies


def test_parts_that_are_no_digits_are_not_read_as_a_row(predictor, digits):
    predictor.reader.network = Says([0.0] * 10)
    page = written(digits, [(20, 10 + 40 * i) for i in range(6)], (70, 260))
    refused = predictor.predict([page])
    assert [a.flags for a in refused] == [("several digits",)]
    assert refused[0].reason.startswith("6 digits")


@pytest.fixture
def counted(predictor):
    """A predictor that reads nothing well, and the numbers of network inputs that it has read."""
    predictor.reader.network = network = Says([0.0] * 10)
    return predictor, network.counts


def page_of(digits, rows, columns):
    places = [(10 + 40 * r, 10 + 40 * c) for r in range(rows) for c in range(columns)]
    return written(digits, places, (20 + 40 * rows, 20 + 40 * columns))


def test_parts_that_are_no_digits_are_not_cut(counted, digits):
    predictor, counts = counted
    (refused,) = predictor.predict([page_of(digits, 4, 10)])
    assert refused.reason.startswith("40 digits")
    assert sum(counts) == 40 + 1


def test_a_page_of_more_than_100_digits_is_read_only_where_it_is_asked_for(counted, digits):
    predictor, counts = counted
    page = page_of(digits, 9, 12)
    assert [a.flags for a in predictor.predict([page])] == [("several digits",)]
    assert counts == [1]
    assert len(predictor.predict([page], segment=True)) >= 100


def test_a_page_of_100_digits_is_read_though_some_are_wide(predictor, digits):
    answers = predictor.predict([page_of(digits, 10, 10)])
    assert len(answers) == 100
    assert {answer.row for answer in answers} == set(range(1, 11))


def test_few_digits_that_all_touch_are_cut_before_they_are_judged(counted, digits):
    predictor, counts = counted
    predictor.predict([page_of(digits, 1, 6)])
    assert sum(counts) > 2 * 6 + 1


def test_small_digits_of_a_large_sheet_are_looked_at_in_more_detail(predictor, digits):
    page = np.full((1600, 2000), 250, np.uint8)
    page[800:870, 200:460] = written(digits, [(20, 10 + 40 * i) for i in range(6)], (70, 260))
    answers = predictor.predict([page], segment=True)
    assert len(answers) == 6
    assert np.allclose([a.box[0] for a in answers], [200 + 10 + 40 * i + 14 for i in range(6)], atol=16)


@pytest.fixture
def judging(make_bundle, second_reader, digits):
    """A predictor as shipping makes it, fitted on digits that the second reader has not seen."""
    images, labels = digits[0], digits[1].astype(np.int64)
    logits, likelihoods = Predictor.load(make_bundle()).logits(images), second_reader(torch.from_numpy(images.copy()))
    fitted = fit_abstention(Evidence(images[800:], logits[800:], likelihoods[800:].numpy()), labels[800:])
    return Predictor.load(make_bundle(abstention=fitted, second_reader=second_reader))


def test_what_is_no_digit_in_mnists_own_form_is_flagged(judging):
    noise = np.zeros((28, 28), np.uint8)
    noise[4:24, 4:24] = np.random.default_rng(0).integers(0, 256, (20, 20))
    answer = judging.predict([noise], threshold=0.0)[0]
    assert answer.flags == ("not a digit",)
    assert answer.status == "abstain"


def test_the_second_reader_lends_doubt_and_leaves_the_answer(judging, digits):
    """A network that always says 3: its answer stays, its probability falls where the picture shows another digit."""
    judging.reader.network = Says([float(digit == 3) for digit in range(10)])
    three, other = (digits[0][np.flatnonzero((digits[1] == 3) == is_three)[0]] for is_three in (True, False))
    answers = judging.predict([three, other], top_k=2)
    assert [a.digit for a in answers] == [3, 3]
    assert [a.top_k[0]["digit"] for a in answers] == [3, 3]
    assert answers[1].probability < 0.5 < answers[0].probability
    assert answers[1].set[0] == 3


def test_the_wanted_coverage_decides_how_many_classes_the_set_names(judging, digits):
    sizes = [sum(len(a.set) for a in judging.predict(list(digits[0][:60]), coverage=c)) for c in (0.8, 0.99, 0.9999)]
    assert sizes[0] < sizes[1] < sizes[2] == 600


@pytest.mark.parametrize(
    "options", [{"top_k": 0}, {"threshold": 1.5}, {"invert": "maybe"}, {"coverage": 1.0}, {"threshold": float("nan")}]
)
def test_options_that_mean_nothing_are_wrong_usage(predictor, options):
    with pytest.raises(UsageError):
        predictor.predict([], **options)


def test_what_the_model_saw_is_saved(predictor, digits, tmp_path):
    predictor.predict([digits[0][0], digits[0][1]], save_input=tmp_path / "seen")
    saved = sorted((tmp_path / "seen").iterdir())
    assert len(saved) == 2
    assert np.array_equal(np.asarray(Image.open(saved[1])), digits[0][1])


def test_a_stream_reads_no_further_ahead_than_a_batch(predictor, digits):
    taken = []

    def source():
        for i in range(1000):
            taken.append(i)
            yield digits[0][i % 10]

    stream = predictor.stream(source())
    for _ in range(BATCH + 1):
        next(stream)
    assert len(taken) <= 2 * BATCH


def test_text_of_what_the_model_saw_has_28_lines():
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, 0] = 255
    lines = as_text(pixels).split("\n")
    assert len(lines) == 28
    assert lines[0] == "@"


def test_inputs_are_collected_in_stable_order(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    names = [path.name for path in collect_inputs(["-", "pictures", "missing.png", "pictures/[12].png"])]
    assert names == ["-", "0.png", "1.png", "2.png", "missing.png", "1.png", "2.png"]
    assert [p.name for p in collect_inputs([str(folder)], recursive=True)] == ["0.png", "1.png", "2.png", "3.PNG"]
    assert list(collect_inputs([str(folder / "*.gif")])) == [folder / "*.gif"]
    (folder.parent / "empty").mkdir()
    assert list(collect_inputs(["empty"])) == [Path("empty")]
    assert list(collect_inputs(["pictures/notes.txt"])) == [Path("pictures/notes.txt")]
