import hashlib
import json
import pickle
import struct

import pytest
import safetensors.torch
import torch

from study.errors import ModelFileError
from study.inference.bundle import load_bundle, write_bundle
from study.inference.second_reader import SecondReader


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def put_weights(folder, data):
    (folder / "model.safetensors").write_bytes(data)
    edit(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def refused(folder, match):
    with pytest.raises(ModelFileError, match=match) as caught:
        load_bundle(folder)
    assert "\n" not in str(caught.value)


def test_a_bundle_comes_back_as_it_was_written(make_bundle, trained):
    bundle = load_bundle(make_bundle(extra="kept"))
    assert not bundle.model.training
    assert all(torch.equal(tensor, trained[name]) for name, tensor in bundle.model.state_dict().items())
    assert bundle.description.model_extra["extra"] == "kept"


def test_the_second_reader_comes_along_with_further_forms(make_bundle, second_reader):
    bundle = load_bundle(make_bundle(second_reader=second_reader))
    assert torch.equal(bundle.second_reader.mean, second_reader.mean)
    assert load_bundle(make_bundle()).second_reader is None
    folder = make_bundle(second_reader=SecondReader(10, (1, 7)))
    assert load_bundle(folder).second_reader.forms == (1, 7)
    edit(folder, second_reader_forms=[1, 10])
    refused(folder, "second_reader_forms are no classes of 10")


def test_a_second_reader_that_is_missing_or_changed_or_of_other_classes_is_refused(make_bundle, second_reader):
    path = make_bundle(second_reader=second_reader) / "second_reader.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(path.parent, "second_reader.safetensors has sha256")
    path.unlink()
    refused(path.parent, "second_reader.safetensors is missing")
    other = safetensors.torch.save(SecondReader(9).state_dict())
    path.write_bytes(other)
    edit(path.parent, second_reader_sha256=hashlib.sha256(other).hexdigest())
    refused(path.parent, "expected torch.float32")


def test_damaged_weights_of_the_two_readers_are_refused(make_bundle, second_reader):
    folder = make_bundle(second_reader=second_reader, abstention={"pool": {"scale": 1.0, "weight": "much"}})
    refused(folder, "cannot run")


def test_a_bundle_can_be_copied_anywhere(make_bundle, tmp_path):
    moved = make_bundle().rename(tmp_path / "elsewhere")
    assert load_bundle(moved).description.n_classes == 10


def test_a_missing_folder_is_named(tmp_path):
    refused(tmp_path / "none", r"model\.json is missing")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": 1}', "[" * 100_000, "\x00\xff"])
def test_a_description_that_is_none_is_refused(make_bundle, text):
    folder = make_bundle()
    (folder / "model.json").write_text(text)
    refused(folder, r"model\.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"n_classes": 11},
        {"n_classes": 0},
        {"classes": ["a"]},
        {"std": 0},
        {"std": float("nan")},
        {"mean": float("inf")},
        {"temperature": -1},
        {"reading": "shifts"},
        {"reading": {"below": 2, "temperature": 1}},
        {"reading": {"below": 0.95, "temperature": 0}},
        {"threshold": 7},
        {"input_shape": [3, 224, 224]},
        {"preprocessing": 99},
        {"family": "cnn"},
        {"family": "../../x"},
        {"config": {"family": "mlp"}},
        {"abstention": {"limit": 3}},
        {"abstention": {"limit": "high", "logit_distance": {"means": "x"}, "looks": {}}},
        {"abstention": {"sets": 3}},
        {"second_reader_sha256": 3},
        {"abstention": {"threshold": "high"}},
    ],
)
def test_a_description_with_a_wrong_value_is_refused(make_bundle, changes):
    folder = make_bundle()
    edit(folder, **changes)
    refused(folder, str(folder))


def test_a_boasting_configuration_costs_no_memory(make_bundle):
    folder = make_bundle()
    config = json.loads((folder / "model.json").read_text())["config"]
    edit(folder, config={**config, "width": [2**40]})
    refused(folder, "width|tensor|usable")


def test_changed_weights_are_refused(make_bundle):
    path = make_bundle() / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refused(path.parent, "sha256")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_truncated_weights_are_refused_even_with_their_own_digest(make_bundle, share):
    folder = make_bundle()
    data = (folder / "model.safetensors").read_bytes()
    put_weights(folder, data[: int(len(data) * share)])
    refused(folder, r"model\.safetensors")


def test_a_huge_header_is_refused(make_bundle):
    folder = make_bundle()
    put_weights(folder, struct.pack("<Q", 2**40) + b"{" + b" " * 100)
    refused(folder, "not a safetensors file")


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_is_refused_and_its_payload_does_not_run(make_bundle, tmp_path):
    folder = make_bundle()
    torch.save(Payload(tmp_path / "ran"), folder / "torch.pt")
    for data in (pickle.dumps(Payload(tmp_path / "ran")), (folder / "torch.pt").read_bytes()):
        put_weights(folder, data)
        refused(folder, "not a safetensors file")
    assert not (tmp_path / "ran").exists()


def replaced(state, change):
    state = {name: tensor.clone() for name, tensor in state.items()}
    change(state)
    return safetensors.torch.save(state)


def first_weight(state):
    return next(name for name in state if name.endswith("weight"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s[first_weight(s)].fill_(float("nan")), "not finite"),
        (lambda s: s.update({first_weight(s): torch.zeros(3, 3)}), "expected torch.float32"),
        (lambda s: s.update({first_weight(s): s[first_weight(s)].double()}), "torch.float64"),
        (lambda s: s.update(odd=torch.zeros(1)), "unknown tensor 'odd'"),
        (lambda s: s.pop(first_weight(s)), "lacks tensor"),
    ],
)
def test_weights_that_do_not_fit_are_refused(make_bundle, trained, change, match):
    folder = make_bundle()
    put_weights(folder, replaced(trained, change))
    refused(folder, match)


def test_weights_that_overflow_are_refused(make_bundle, trained):
    folder = make_bundle()
    put_weights(folder, replaced(trained, lambda s: [t.fill_(3e38) for t in s.values() if t.is_floating_point()]))
    refused(folder, "finite")


def test_an_export_of_other_weights_is_put_aside(make_bundle, trained):
    folder = make_bundle()
    exported = folder / "model.onnx"
    exported.write_bytes(b"of these weights")
    make_bundle(temperature=1.5)
    assert exported.read_bytes() == b"of these weights"
    make_bundle(state={name: tensor * 2 for name, tensor in trained.items()})
    assert not exported.exists()
    assert (folder / "model-earlier.onnx").read_bytes() == b"of these weights"


def test_a_description_that_cannot_be_read_back_is_not_written(tmp_path, trained):
    with pytest.raises(ModelFileError):
        write_bundle(tmp_path / "model", trained, {"family": "mlp"}, "")
    assert not (tmp_path / "model" / "model.safetensors").exists()
