import sys

import numpy as np
import pytest

from study.command.cli import main
from study.data.datasets import load_train, split_of, split_sha256
from study.errors import StudyError
from study.inference import export
from study.inference.bundle import load_bundle
from study.inference.predictor import Predictor
from study.records.paths import StudyFiles
from study.records.settings import save_settings


def test_without_the_extra_it_names_the_command(make_bundle, tmp_path, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(StudyError, match=r"pip install 'digit-study\[onnx\]'"):
        export.export_onnx(load_bundle(make_bundle()), tmp_path / "model.onnx", digits[0])


@pytest.fixture(scope="module")
def installed():
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)


@pytest.mark.usefixtures("installed")
def test_one_file_of_raw_pixels_and_any_batch_agrees_with_torch(make_bundle, tmp_path, digits, capfd):
    path = tmp_path / "out" / "model.onnx"
    parity = export.export_onnx(load_bundle(make_bundle()), path, digits[0])
    assert parity.images == 1000
    assert parity.changed == 0
    assert parity.gap <= 1e-4
    assert [entry.name for entry in path.parent.iterdir()] == ["model.onnx"]
    assert capfd.readouterr().out == ""
    session = export._session(path)
    for batch in (1, 7):
        assert session.run(["logits"], {"images": digits[0][:batch, None]})[0].shape == (batch, 10)


@pytest.mark.usefixtures("installed")
def test_shifts_and_light_are_read_the_same_in_the_file_and_in_predict(make_bundle, tmp_path, digits):
    bundle = load_bundle(make_bundle(reading={"below": 0.95, "temperature": 1.0}, on_black=True))
    path = tmp_path / "model.onnx"
    parity = export.export_onnx(bundle, path, digits[0][:200])
    assert parity.holds
    session = export._session(path)
    predictor, plain, dark = (
        Predictor(bundle.model, bundle.description.model_copy(update=changes))
        for changes in ({}, {"reading": None}, {"on_black": False})
    )
    lit = np.clip(digits[0][:20].astype(int) + 80, 0, 255).astype(np.uint8)
    assert np.allclose(session.run(["logits"], {"images": lit[:, None]})[0], predictor.logits(lit), atol=1e-4)
    assert not np.allclose(predictor.logits(lit), dark.logits(lit), atol=0.1)
    assert (predictor.logits(digits[0]) == dark.logits(digits[0])).all()
    again = (predictor.logits(digits[0][:200]) != plain.logits(digits[0][:200])).any(axis=1)
    assert 0 < again.sum() < 200
    for index in (int(again.argmax()), int(again.argmin())):  # alone: one that is read again, and one that is not
        pixels = digits[0][index : index + 1]
        assert np.allclose(session.run(["logits"], {"images": pixels[:, None]})[0], predictor.logits(pixels), atol=1e-4)


@pytest.mark.usefixtures("installed")
def test_an_export_that_disagrees_is_refused_and_an_older_one_stays(make_bundle, tmp_path, digits, monkeypatch):
    path = tmp_path / "model.onnx"
    monkeypatch.setattr(export, "compare", lambda *_: export.Parity(1000, 3, 0.5))
    with pytest.raises(StudyError, match=r"differ on 3 of 1000 images.*no file was written"):
        export.export_onnx(load_bundle(make_bundle()), path, digits[0])
    assert not list(tmp_path.glob("*onnx*"))
    path.write_bytes(b"an older one")
    with pytest.raises(StudyError, match="the older file was left in place"):
        export.export_onnx(load_bundle(make_bundle()), path, digits[0])
    assert path.read_bytes() == b"an older one"
    assert list(tmp_path.glob("*onnx*")) == [path]


def test_parity_fails_for_a_gap_or_a_changed_answer():
    assert export.Parity(10, 0, 9e-5).holds
    assert not export.Parity(10, 1, 0.0).holds
    assert not export.Parity(10, 0, float(np.inf)).holds


@pytest.mark.parametrize("named_by", ["model", "study"])
def test_parity_is_checked_on_the_validation_images_of_the_recorded_split(
    named_by, make_bundle, make_settings, tmp_path, write_idx, monkeypatch, capsys
):
    folder = write_idx(tmp_path / "digits")
    train = load_train("digits", folder)
    train_count = len(train.labels)
    _, older = split_of(train, 0)
    named = "".join(f"{image // 4}\n" for image in range(train_count))
    (folder / "train-groups.txt").write_text(named)
    about = {"name": "digits", "data_dir": str(folder), "sha256": train.sha256}
    digest = {"split_sha256": split_sha256(older)}
    dataset = make_settings().dataset.model_copy(update=about | digest)
    save_settings(make_settings(name=tmp_path.name, dataset=dataset.model_dump()), StudyFiles(tmp_path).settings)
    model = make_bundle(dataset=about | digest if named_by == "model" else about)
    flags = ["--model", model] if named_by == "model" else ["--name", tmp_path.name, "--results", tmp_path.parent]
    checked = []

    def spy(bundle, path, images):
        checked.append(images)
        return export.Parity(len(images), 0, 0.0)

    monkeypatch.setattr(export, "export_onnx", spy)
    assert main(["export", *map(str, flags)]) == 0
    assert "0 answers changed" in capsys.readouterr().out
    assert (checked[0] == train.images[older].numpy()[:1000]).all()
