"""The opening of the test split: what is sealed, when, and what a second command may do."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import run_metrics

from study.errors import DataError, ResultsError
from study.evaluation import ensemble, test_set
from study.models.reading import Reader, ShiftedReading
from study.records import seal
from study.records.openings import openings_file
from study.records.paths import StudyFiles
from study.records.predictions import read_groups, read_run_logits
from study.records.run import read_run
from study.records.shifts import read_shipped
from study.statistics.intervals import wilson
from study.statistics.logits import softmax
from study.training.checkpoint import save_run
from study.training.config import build_model


def _open(study: Any, **changes: Any) -> bool:
    found, repeats = changes.pop("found", study.found), changes.pop("repeats", ())
    wanted = test_set.RunsToTest(study.files, found, repeats, changes.pop("shifted", None))
    arguments = {
        "command": "study run",
        "wanted": wanted,
        "winner": "cnn",
        "shipped_run": "cnn-final-seed0",
        "hypotheses": [("cnn", "mlp")],
    }
    return test_set.open_test(study.files, study.settings, **{**arguments, **changes})


def _retrain(study: Any, run: str) -> None:
    _retrain_in(study.files, run)


def _retrain_in(files: StudyFiles, run: str) -> None:
    """Give a run other weights, as a longer final schedule would."""
    before = read_run(files.run(run))
    torch.manual_seed(99)
    model = build_model(before.config, before.record.n_classes)
    save_run(
        files.run(run),
        model,
        before.record,
        before.config,
        [],
        run_metrics(),
        validation=None,
        digest="other",
    )


def test_predictions_hold_labels_and_one_key_per_final_run(opened_study: Any) -> None:
    labels, logits = test_set.read_logits(opened_study.files.predictions)
    assert labels.dtype == np.int64
    assert set(logits) == set(opened_study.finals)
    assert all(one.shape == (60, 10) and one.dtype == np.float32 for one in logits.values())
    assert set(test_set.read_logits(opened_study.files.candidate_predictions)[1]) == set(opened_study.candidates)


def test_predictions_carry_the_groups_of_the_images(small_study: Any) -> None:
    data = small_study.files.root.parent.parent / "data"
    names = np.arange(60) % 10
    (data / "t10k-groups.txt").write_text("".join(f"{name}\n" for name in names))
    assert _open(small_study) is True
    with np.load(small_study.files.predictions) as arrays:
        assert arrays["groups"].tolist() == names.tolist()
    assert set(test_set.read_logits(small_study.files.predictions)[1]) == set(small_study.finals)
    groups = read_groups(small_study.files.predictions)
    assert groups is not None
    assert groups.of.tolist() == names.tolist()
    assert _open(small_study) is False
    (entry, *_) = ensemble.run(small_study.files, small_study.settings)["ensembles"]
    low, high = wilson(entry["correct"], 60)
    assert entry["interval95"][1] - entry["interval95"][0] > 1.3 * (high - low)


def test_logits_are_those_of_the_saved_model(opened_study: Any) -> None:
    model, run = test_set.load_run(opened_study.files.run("mlp-final-seed1"))
    images = test_set.load_sealed_test(opened_study.files, opened_study.settings).images
    with torch.no_grad():
        expected = model((images[:, None].float() / 255 - 0.2) / 0.3)
    written = test_set.read_logits(opened_study.files.predictions)[1]["mlp-final-seed1"]
    np.testing.assert_allclose(written, expected.numpy(), atol=1e-5)
    assert (run.record.family, run.record.seed_index) == ("mlp", 1)


def test_the_seal_names_winner_hypotheses_weights_and_data(opened_study: Any) -> None:
    (entry,) = json.loads(opened_study.files.seal.read_text())["openings"]
    assert (entry["winner"], entry["shipped_run"], entry["command"]) == ("cnn", "cnn-final-seed0", "study run")
    assert entry["hypotheses"] == [["cnn", "mlp"]]
    assert set(entry["hashes"]) == set(opened_study.runs)
    assert set(entry["test_sha256"]) == {"test-images", "test-labels"}


def test_the_seal_is_on_disk_before_an_image_is_read(small_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed_first = []

    def spy(*args: Any, **kwargs: Any) -> Any:
        sealed_first.append(len(seal.read_openings(small_study.files.seal)) == 1)
        raise DataError("stop here")

    monkeypatch.setattr(test_set, "load_test", spy)
    with pytest.raises(DataError):
        _open(small_study)
    assert sealed_first == [True]


def test_a_second_command_on_the_same_weights_opens_nothing(opened_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = opened_study.files.seal.read_bytes()
    monkeypatch.setattr(test_set, "load_test", None)
    assert _open(opened_study) is False
    assert opened_study.files.seal.read_bytes() == before


@pytest.fixture
def pair(small_study: Any) -> tuple[StudyFiles, dict[str, Any]]:
    """A repeat of the small study, and what opening both at once takes."""
    repeat = small_study.files.repeat(2)
    shutil.copytree(small_study.files.runs, repeat.runs)
    _retrain_in(repeat, "cnn-final-seed0")
    label = "small-repeat-2/cnn-final-seed0"
    return repeat, {"repeats": [(repeat, small_study.found)], "shipped_run": label}


def test_a_repeat_is_sealed_in_the_same_opening_and_read_into_its_own_folder(
    small_study: Any, pair: tuple[StudyFiles, dict[str, Any]]
) -> None:
    repeat, several = pair
    assert _open(small_study, **several) is True
    (opening,) = seal.read_openings(small_study.files.seal)
    assert opening.shipped_run == "small-repeat-2/cnn-final-seed0"
    assert set(opening.hashes) == {*small_study.runs, *(f"small-repeat-2/{run}" for run in small_study.runs)}
    assert opening.hashes["cnn-final-seed0"] != opening.hashes["small-repeat-2/cnn-final-seed0"]
    assert not repeat.seal.exists()
    own, other = (test_set.read_logits(files.predictions)[1] for files in (small_study.files, repeat))
    assert set(own) == set(other) == set(small_study.finals)
    assert not np.array_equal(own["cnn-final-seed0"], other["cnn-final-seed0"])
    np.testing.assert_array_equal(own["mlp-final-seed0"], other["mlp-final-seed0"])
    assert _open(small_study, **several) is False


@pytest.mark.parametrize("lost", ["study", "repeat"])
def test_an_opening_that_ended_between_two_searches_is_resumed(
    small_study: Any, pair: tuple[StudyFiles, dict[str, Any]], lost: str
) -> None:
    repeat, several = pair
    _open(small_study, **several)
    path = (small_study.files if lost == "study" else repeat).predictions
    before = path.read_bytes()
    path.unlink()
    assert _open(small_study, **several) is True
    (opening,) = seal.read_openings(small_study.files.seal)
    assert len(opening.resumed) == 1
    assert path.read_bytes() == before


def test_the_shipped_run_is_read_with_shifts_beside_all_others_and_sealed_so(opened_study: Any) -> None:
    files = opened_study.files
    once = test_set.read_logits(files.predictions)
    assert not files.shipped_predictions.exists()
    shutil.rmtree(files.test)
    confidence = softmax(once[1]["cnn-final-seed0"]).max(axis=1)
    shifted = ShiftedReading(below=float(np.median(confidence)), temperature=1.0)
    assert _open(opened_study, shifted=shifted)
    found = read_shipped(files.shipped_predictions)
    assert found is not None
    labels, logits = test_set.read_logits(files.predictions)
    assert (found.labels == labels).all()
    assert all((logits[run] == once[1][run]).all() for run in once[1])
    model, run = test_set.load_run(files.run("cnn-final-seed0"))
    images = test_set._load_test(opened_study.settings).images.unsqueeze(1)
    reader = Reader(model, run.record.mean, run.record.std, shifted)
    with torch.inference_mode():
        assert np.allclose(found.logits, reader(images).numpy(), atol=1e-5)
    assert sorted(set(found.passes)) == [1, 5]
    assert (found.passes == np.where(confidence < shifted.below, 5, 1)).all()
    assert seal.read_openings(files.seal)[0].reading == shifted.model_dump()
    assert not _open(opened_study, shifted=shifted)
    files.shipped_predictions.unlink()
    assert _open(opened_study, shifted=shifted)
    assert len(seal.read_openings(files.seal)) == 1


def test_an_opening_cut_short_leaves_no_predictions_of_other_weights(
    opened_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = opened_study.files
    before = test_set.read_logits(files.predictions)[1]["cnn-final-seed0"]
    _retrain(opened_study, "cnn-final-seed0")
    with monkeypatch.context() as cut:
        cut.setattr(test_set, "_load_test", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _open(opened_study)
    assert len(seal.read_openings(files.seal)) == 2
    assert _open(opened_study)
    assert len(seal.read_openings(files.seal)) == 2  # taken up again
    assert not np.array_equal(test_set.read_logits(files.predictions)[1]["cnn-final-seed0"], before)


def test_a_repeat_that_is_added_after_the_opening_is_another_one(
    opened_study: Any, pair: tuple[StudyFiles, dict[str, Any]]
) -> None:
    assert _open(opened_study, **pair[1]) is True
    assert len(seal.read_openings(opened_study.files.seal)) == 2


def test_other_weights_are_another_opening(opened_study: Any) -> None:
    _retrain(opened_study, "cnn-final-seed0")
    assert _open(opened_study, command="study evaluate") is True
    first, second = seal.read_openings(opened_study.files.seal)
    assert first.hashes["cnn-final-seed0"] != second.hashes["cnn-final-seed0"]
    assert second.command == "study evaluate"


def test_an_opening_that_wrote_no_predictions_is_resumed_not_counted_twice(opened_study: Any) -> None:
    opened_study.files.predictions.unlink()
    assert _open(opened_study) is True
    (opening,) = seal.read_openings(opened_study.files.seal)
    assert len(opening.resumed) == 1
    assert opened_study.files.predictions.exists()


def test_an_opening_is_numbered_among_all_of_these_images_by_this_user(opened_study: Any) -> None:
    (first,) = seal.read_openings(opened_study.files.seal)
    _retrain(opened_study, "cnn-final-seed0")
    _open(opened_study)
    assert [one.of_user for one in seal.read_openings(opened_study.files.seal)] == [first.of_user, 2]


def test_a_study_that_was_removed_is_remembered(opened_study: Any) -> None:
    shutil.rmtree(opened_study.files.test)
    _retrain(opened_study, "cnn-final-seed0")
    assert _open(opened_study) is True
    (opening,) = seal.read_openings(opened_study.files.seal)
    assert opening.of_user == 2


def test_an_opening_may_be_left_out_of_the_count(small_study: Any) -> None:
    _open(small_study, counted=False)
    assert "of_user" not in small_study.files.seal.read_text()
    assert not openings_file().exists()
    _retrain(small_study, "cnn-final-seed0")
    _open(small_study)
    first, second = seal.read_openings(small_study.files.seal)
    assert (first.uncounted, first.of_user, second.uncounted, second.of_user) == (True, None, False, 1)
    assert small_study.files.seal.read_text().count('"uncounted"') == 1


@pytest.mark.parametrize(("begun", "resumed"), [(False, True), (True, False)])
def test_an_opening_that_was_cut_short_stays_uncounted_if_either_command_asked_so(
    small_study: Any, monkeypatch: pytest.MonkeyPatch, begun: bool, resumed: bool
) -> None:
    with monkeypatch.context() as cut:
        cut.setattr(test_set, "count_openings" if begun else "load_test", _cut_short)
        with pytest.raises(KeyboardInterrupt):
            _open(small_study, counted=begun)
    assert _open(small_study, counted=resumed) is True
    (opening,) = seal.read_openings(small_study.files.seal)
    assert (opening.uncounted, opening.of_user, len(opening.resumed)) == (True, None, 1)
    assert not openings_file().exists()


def _cut_short(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_count_that_cannot_be_kept_is_said_once_and_nothing_else_fails(
    small_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    said: list[str] = []
    assert _open(small_study, say=said.append) is True
    assert small_study.files.predictions.exists()
    (opening,) = seal.read_openings(small_study.files.seal)
    assert opening.of_user is None
    assert len(said) == 1
    assert "openings.jsonl cannot be written" in said[0]


def test_test_files_that_changed_are_refused(small_study: Any) -> None:
    labels = next(small_study.files.root.parent.parent.glob("data/t10k-labels*"))
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x03")
    with pytest.raises(DataError, match="sha256"):
        _open(small_study)


def test_an_unfinished_run_is_refused_before_anything_is_sealed(small_study: Any) -> None:
    small_study.files.run("mlp-final-seed1").done.unlink()
    with pytest.raises(ResultsError, match="mlp-final-seed1 is not finished"):
        _open(small_study)
    assert not small_study.files.seal.exists()


def test_a_shipped_run_that_is_none_of_the_study_is_refused(small_study: Any) -> None:
    with pytest.raises(ResultsError, match="'cnn-t9-seed0' is not among the runs"):
        _open(small_study, shipped_run="cnn-t9-seed0")


def test_a_candidate_may_be_shipped_and_is_read_with_shifts(small_study: Any) -> None:
    shifted = ShiftedReading(below=0.5, temperature=1.0)
    assert _open(small_study, shipped_run="cnn-t3-seed0", shifted=shifted)
    files = small_study.files
    assert seal.read_openings(files.seal)[0].shipped_run == "cnn-t3-seed0"
    once, read = read_run_logits(files, "cnn-t3-seed0"), read_shipped(files.shipped_predictions)
    assert once is not None
    assert read is not None
    assert (once[0] == read.labels).all()
    assert (once[1] == read.logits)[read.passes == 1].all()
    assert read_run_logits(files, "cnn-t9-seed0") is None


def test_damaged_weights_are_named(small_study: Any) -> None:
    run = small_study.files.run("mlp-final-seed0")
    run.weights.write_bytes(b"\x00" * 50)
    with pytest.raises(ResultsError, match=r"mlp-final-seed0/model\.safetensors"):
        test_set.load_run(run)


def test_the_sealed_test_is_closed_before_the_opening(small_study: Any) -> None:
    with pytest.raises(ResultsError, match="study evaluate"):
        test_set.load_sealed_test(small_study.files, small_study.settings)


def test_hardest_images_have_the_largest_mean_loss() -> None:
    labels = np.array([0, 0, 0])
    sure, unsure = np.array([[5.0, 0], [0, 0], [0, 5]]), np.array([[5.0, 0], [0, 5], [0, 5]])
    assert test_set.hardest_images([sure, unsure], labels, largest=2).tolist() == [2, 1]


def test_misread_images_are_those_of_the_first_seed_the_worst_first() -> None:
    labels = np.array([0, 0, 0])
    first, second = np.array([[0, 1.0], [1, 0], [0, 5]]), np.array([[5.0, 0], [0, 9], [0, 5]])
    assert test_set.misread_images([first, second], labels).tolist() == [2, 0]


def test_images_hold_the_pictures_of_their_indices(opened_study: Any) -> None:
    images = test_set.load_sealed_test(opened_study.files, opened_study.settings).images.numpy()
    with np.load(opened_study.files.test / "images.npz") as arrays:
        indices = arrays["indices"]
        assert len(set(indices)) == len(indices) >= 30  # the hardest, and what each family misreads
        np.testing.assert_array_equal(arrays["images"], images[arrays["indices"]])


def test_the_named_run_of_a_family_is_its_first_seed(opened_study: Any) -> None:
    assert test_set.named_runs(opened_study.files) == {"cnn": "cnn-final-seed0", "mlp": "mlp-final-seed0"}
