"""The folder `model/`: model.safetensors, second_reader.safetensors, model.json, MODEL_CARD.md; copied anywhere, and
trusted nowhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from pydantic import ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from study.errors import ConfigError, ModelFileError, StudyError
from study.inference.abstain import Evidence, prediction_set, probabilities, strangeness
from study.inference.card import model_card
from study.inference.second_reader import SecondReader
from study.models.reading import Reader, ShiftedReading
from study.records.files import write_bytes, write_json, write_text
from study.records.paths import CARD, EARLIER_EXPORT, EXPORT
from study.records.settings import DataPlace, Frozen, explain
from study.space.plugins import require_installed
from study.training.config import build_model

__all__ = ["Bundle", "Description", "load_bundle", "model_card", "write_bundle"]

FORMAT = 1
WEIGHTS, SECOND, DESCRIPTION = "model.safetensors", "second_reader.safetensors", "model.json"
MAX_DESCRIPTION_BYTES = 4_000_000
MAX_HEADER_BYTES = 1_000_000
MAX_WEIGHTS_BYTES = 1_000_000_000


class Description(Frozen):
    """`model.json`. Keys beyond these are kept and not looked at, so that studies can say more about their model."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[1]
    family: str
    config: dict[str, Any]
    n_classes: int = Field(ge=2, le=100_000)
    classes: tuple[str, ...]
    input_shape: tuple[Literal[1], Literal[28], Literal[28]] = (1, 28, 28)
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    on_black: bool = False  # as all models of earlier versions
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    reading: ShiftedReading | None = None  # None: each picture once, as all models of earlier versions
    threshold: float | None = Field(default=None, ge=0, le=1)
    preprocessing: Literal[1] = 1
    abstention: dict[str, Any] = Field(default_factory=dict)
    weights_sha256: str
    second_reader_sha256: str | None = None
    second_reader_forms: tuple[int, ...] = ()  # classes of its further Gaussians; earlier versions knew none
    package: str | None = None  # of a family of another installed package
    package_version: str | None = None

    @property
    def title(self) -> str:
        """Family and trial, such as "cnn #64"; the family alone where the file names no trial."""
        trial = (self.model_extra or {}).get("trial")
        return self.family if trial is None else f"{self.family} #{trial}"

    def reader(self, network: nn.Module) -> Reader:
        """The network as it reads pixels."""
        return Reader(network, self.mean, self.std, self.reading, on_black=self.on_black)

    def trained_on(self) -> DataPlace:
        """The data set that the model's file names; ModelFileError where it does so in another form."""
        about = (self.model_extra or {}).get("dataset") or {"name": "mnist"}
        try:
            return DataPlace.model_validate({key: about[key] for key in DataPlace.model_fields if key in about})
        except (ValidationError, TypeError) as error:
            cause = explain(error) if isinstance(error, ValidationError) else _line(error)
            raise ModelFileError(f"{DESCRIPTION}: dataset: {cause}; {_AGAIN}") from None


@dataclass(frozen=True)
class Bundle:
    """A model ready for use, in evaluation mode on the CPU, and what is known about it."""

    model: nn.Module
    description: Description
    second_reader: SecondReader | None = None


def write_bundle(
    folder: Path,
    model_state: Mapping[str, Tensor],
    model_json: Mapping[str, Any],
    card_text: str,
    second_reader: SecondReader | None = None,
) -> None:
    """Write the files, each whole or not at all; `format` and the sha256 of the weights are filled in here. An ONNX
    file of other weights is kept under another name: it must not pass for this network's."""
    contents = {WEIGHTS: _packed(model_state)}
    if second_reader is not None:
        contents[SECOND] = _packed(second_reader.state_dict())
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    described = {
        **model_json,
        "format": FORMAT,
        "weights_sha256": digests[WEIGHTS],
        "second_reader_sha256": digests.get(SECOND),
        "second_reader_forms": [] if second_reader is None else list(second_reader.forms),
    }
    _checked(described, folder / DESCRIPTION)
    if (folder / EXPORT).is_file() and not _holds(folder / WEIGHTS, digests[WEIGHTS]):
        (folder / EXPORT).replace(folder / EARLIER_EXPORT)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_json(folder / DESCRIPTION, described)
    write_text(folder / CARD, card_text)


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _packed(state: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def load_bundle(folder: str | Path) -> Bundle:
    """Rebuild the model of a folder; ModelFileError for anything that is missing, damaged or not what it says it is.

    Nothing in the folder is executed: JSON and safetensors carry data alone. A family of another package is built by
    what is installed here.
    """
    root = Path(folder)
    description = _read_description(root / DESCRIPTION)
    _require_package(root / DESCRIPTION, description)
    path = root / WEIGHTS
    try:
        make = partial(build_model, description.config, description.n_classes)
        model = _filled(make, path, description.weights_sha256)
        second = _second_reader(root / SECOND, description)
        with torch.no_grad():
            logits = description.reader(model)(_probe(description))
        _try_abstention(logits, second, description)
    except ModelFileError:
        raise
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ModelFileError(f"{root}: the model cannot run ({_line(error)}); {_AGAIN}") from None
    if tuple(logits.shape) != (2, description.n_classes) or not torch.isfinite(logits).all():
        raise ModelFileError(f"{path}: a black and a white image give {_shown(logits)}, not finite logits; {_AGAIN}")
    return Bundle(model, description, second)


def _require_package(path: Path, description: Description) -> None:
    try:
        require_installed(description.family, description.package, description.package_version)
    except ConfigError as error:
        raise ModelFileError(f"{path}: {error}") from None


def _second_reader(path: Path, description: Description) -> SecondReader | None:
    if description.second_reader_sha256 is None:
        return None
    make = partial(SecondReader, description.n_classes, description.second_reader_forms)
    reader = _filled(make, path, description.second_reader_sha256)
    assert isinstance(reader, SecondReader)
    return reader


def _probe(description: Description) -> Tensor:
    """A black and a white image, [2, 1, 28, 28]."""
    black = torch.zeros(1, *description.input_shape)
    return torch.cat([black, black + 255])


def _try_abstention(logits: Tensor, second: SecondReader | None, description: Description) -> None:
    """Use the fitted numbers once: they come from the same file as everything else that may be damaged."""
    images = np.zeros((len(logits), 28, 28), np.uint8)
    likelihoods = None if second is None else second(torch.from_numpy(images)).numpy()
    evidence = Evidence(images, logits.numpy(), likelihoods)
    strangeness(evidence, description.abstention)
    prediction_set(probabilities(evidence, description.abstention, description.temperature)[0], description.abstention)
    float(description.abstention.get("threshold", 0))


_AGAIN = "copy the folder again, or rerun `study retrain`"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _shown(logits: Tensor) -> str:
    return f"values of shape {list(logits.shape)}"


def _read_limited(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise ModelFileError(f"{path} is missing; expected a study's model/ folder: check --model or --name")
        size = path.stat().st_size
        if size > limit:
            raise ModelFileError(f"{path} has {size} bytes; expected at most {limit}: {_AGAIN}")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _read_description(path: Path) -> Description:
    data = _read_limited(path, MAX_DESCRIPTION_BYTES)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is not JSON ({_line(error)}); {_AGAIN}") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} holds a {type(value).__name__}; expected an object: {_AGAIN}")
    return _checked(value, path)


def _checked(value: Mapping[str, Any], path: Path) -> Description:
    try:
        description = Description.model_validate(value)
    except ValidationError as error:
        raise ModelFileError(f"{path}: {explain(error)}; {_AGAIN}") from None
    if len(description.classes) != description.n_classes:
        raise ModelFileError(
            f"{path}: {len(description.classes)} class names for {description.n_classes} classes; {_AGAIN}"
        )
    if not all(0 <= form < description.n_classes for form in description.second_reader_forms):
        raise ModelFileError(f"{path}: second_reader_forms are no classes of {description.n_classes}; {_AGAIN}")
    if description.config.get("family") != description.family:
        raise ModelFileError(
            f"{path}: family {description.family!r:.40}, but its configuration says "
            f"{description.config.get('family')!r:.40}; {_AGAIN}"
        )
    return description


def _read_weights(path: Path, expected_sha256: str) -> dict[str, Tensor]:
    data = _read_limited(path, MAX_WEIGHTS_BYTES)
    header = int.from_bytes(data[:8], "little") if len(data) >= 8 else 0
    if not 2 <= header <= min(MAX_HEADER_BYTES, len(data) - 8) or data[8:9] != b"{":
        raise ModelFileError(f"{path} is not a safetensors file of this program; {_AGAIN}")
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise ModelFileError(
            f"{path} has sha256 {found[:16]}…; {DESCRIPTION} expects {expected_sha256[:16]}…: {_AGAIN}"
        )
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError, MemoryError) as error:
        raise ModelFileError(f"{path} is damaged ({_line(error)}); {_AGAIN}") from None


def _filled(make: Callable[[], nn.Module], path: Path, expected_sha256: str) -> nn.Module:
    """What `make` makes, with the weights of `path`, in evaluation mode. Names and shapes are checked on a model
    without memory first: a boast in the configuration costs none."""
    state = _read_weights(path, expected_sha256)
    try:
        with torch.device("meta"):
            expected = make().state_dict()
    except StudyError as error:
        kind = "configuration" if isinstance(error, ConfigError) else "model"
        raise ModelFileError(f"{path.parent / DESCRIPTION}: {kind} is not usable ({_line(error)}); {_AGAIN}") from None
    if expected.keys() != state.keys():
        odd = sorted(expected.keys() ^ state.keys())[0]
        where = "lacks" if odd in expected else "has the unknown"
        raise ModelFileError(f"{path} {where} tensor {odd!r:.80}; {_AGAIN}")
    for name, tensor in state.items():
        _check_tensor(path, name, tensor, expected[name])
    model = make()
    model.load_state_dict(state)
    return model.eval()


def _check_tensor(path: Path, name: str, tensor: Tensor, expected: Tensor) -> None:
    if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
        raise ModelFileError(
            f"{path}: tensor {name!r:.80} is {tensor.dtype} {list(tensor.shape)}, "
            f"expected {expected.dtype} {list(expected.shape)}; {_AGAIN}"
        )
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise ModelFileError(f"{path}: tensor {name!r:.80} holds values that are not finite; {_AGAIN}")
