"""What `study examine` has written: of the test split, of corrupted images, and of further runs. Read, and checked
against its form, by pydantic; what the report does not know is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from study.errors import ResultsError
from study.records.files import read_json
from study.statistics.intervals import Interval, MeanInterval
from study.statistics.result import OPTIONAL, Result

T = TypeVar("T")

# -- robustness.json --------------------------------------------------------------------------------------------------

_SHIPPED = ", shipped"


def shipped_reader(family: str) -> str:
    """Under which name the shipped network stands beside the families' finalists, where it has a last stage."""
    return family + _SHIPPED


def is_finalist(reader: str) -> bool:
    return not reader.endswith(_SHIPPED)


@dataclass(frozen=True, slots=True)
class Corrupted(Result):
    """How one named run reads the images of a level; `per_class` is None for a class without images."""

    accuracy: float
    correct: int
    n: int
    interval95: Interval
    per_class: tuple[float | None, ...]
    mean_confidence: float
    ece: float
    ece_noise_floor: float


@dataclass(frozen=True, slots=True)
class Level(Result):
    """One corruption at one strength, `level` in `unit`; the kind "clean" is none at all."""

    kind: str
    group: str
    unit: str
    level: int | float
    families: Mapping[str, Corrupted]


@dataclass(frozen=True, slots=True)
class Fallen(Result):
    """The blur, sigma in pixels, at which accuracy on a class is half of its clean one; None if never reached."""

    label: Annotated[int, Field(alias="class")] = field(metadata={"key": "class"})
    sigma: float | None


@dataclass(frozen=True, slots=True)
class Answers(Result):
    """How often each class was the answer to a six under a blur of `sigma` pixels."""

    sigma: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sixes(Result):
    label: int
    families: Mapping[str, tuple[Answers, ...]]


@dataclass(frozen=True, slots=True)
class Order(Result):
    """The difference of two finalists on clean and on corrupted images, and whether their order changes."""

    group: str
    a: str
    b: str
    clean: MeanInterval
    corrupt: MeanInterval
    change: MeanInterval
    order_changes: bool


@dataclass(frozen=True, slots=True)
class Seen(Result):
    """The answer to one picture; `top` holds the three likeliest classes with their probabilities."""

    sigma: float
    answer: int
    probability: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Strip(Result):
    """One six of the test split at each blur."""

    index: int
    label: int
    answers: Mapping[str, tuple[Seen, ...]]


@dataclass(frozen=True, slots=True)
class Skipped(Result):
    kind: str
    level: int | float


@dataclass(frozen=True, slots=True)
class Robustness(Result):
    n_images: int
    n_test: int
    seed: int
    classes: tuple[str, ...]
    runs: Mapping[str, str]
    temperatures: Mapping[str, float]
    levels: tuple[Level, ...]
    half_accuracy_sigma: Mapping[str, float | None]
    first_to_fall: Mapping[str, tuple[Fallen, ...]]
    sixes: Sixes | None
    order: tuple[Order, ...]
    strip: Strip | None
    skipped: tuple[Skipped, ...]
    seconds: float
    made_from: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)


# -- beside the finalists ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Baseline(Result):
    name: str
    accuracy: float
    interval95: Interval
    seconds: float
    n_train: int
    parameters: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Baselines(Result):
    baselines: tuple[Baseline, ...]


@dataclass(frozen=True, slots=True)
class Ensemble(Result):
    name: str
    runs: tuple[str, ...]
    accuracy: float
    interval95: Interval


@dataclass(frozen=True, slots=True)
class Ensembles(Result):
    ensembles: tuple[Ensemble, ...]


@dataclass(frozen=True, slots=True)
class Latency(Result):
    """Milliseconds of one reading of `batch_size` images, its `order` "alone" or "in turn" with other models."""

    family: str
    batch_size: int
    order: str
    n: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Latencies(Result):
    measurements: tuple[Latency, ...]


@dataclass(frozen=True, slots=True)
class Duplicates(Result):
    """Test images that are training images, pixel by pixel, and blank ones, which are not counted among them."""

    n_test: int
    test_in_train: int
    test_indices: tuple[int, ...]
    blank_train: int
    blank_test: int


# -- further runs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Swap(Result):
    """One choice of a finalist exchanged for another; `also` is what had to change beside it, None for what was
    dropped. Without numbers where it `failed`."""

    parameter: str
    place: int
    replaced: Annotated[Any, Field(alias="from")] = field(metadata={"key": "from"})
    value: Any
    also: Mapping[str, Any]
    failed: str | None
    accuracies: tuple[float, ...] | None = field(default=None, metadata=OPTIONAL)
    difference: float | None = field(default=None, metadata=OPTIONAL)
    se: float | None = field(default=None, metadata=OPTIONAL)
    interval95: Interval | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class LeftOut(Result):
    parameter: str
    value: Any


@dataclass(frozen=True, slots=True)
class Ablated(Result):
    """The swaps of one family's finalist, a trial whose runs had so many `examples`."""

    trial: int
    examples: int
    accuracies: tuple[float, ...] | None
    rows: tuple[Swap, ...]
    left_out: tuple[LeftOut, ...]
    seconds_left_out: float


@dataclass(frozen=True, slots=True)
class Ablation(Result):
    seeds: int
    n_validation: int
    families: Mapping[str, Ablated]


@dataclass(frozen=True, slots=True)
class Audited(Result):
    """A pruned trial that was run to its end beside the best completed one of its family."""

    family: str
    number: int
    pruned_at: int
    value: float | None
    best: float | None
    beats: bool | None
    failed: str | None


@dataclass(frozen=True, slots=True)
class Audit(Result):
    """Of so many `pruned` trials some were drawn, some of these judged, and `beaten` of these did better than the best
    completed one; `bound95` is the upper bound of their share."""

    pruned: int
    drawn: int
    judged: int
    beaten: int
    bound95: float
    rows: tuple[Audited, ...]


# -- all of it --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Examined:
    """What a study has of it."""

    robustness: Robustness | None = None
    baselines: Baselines | None = None
    ensembles: Ensembles | None = None
    latencies: Latencies | None = None
    duplicates: Duplicates | None = None
    ablation: Ablation | None = None
    audit: Audit | None = None


def read_examined(kind: type[T], path: Path) -> T | None:
    """The content of a file, None if it is not there. ResultsError if it is damaged or of another form."""
    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        said = error.errors()[0]
        raise ResultsError(
            f"{path} is of an unknown form ({'.'.join(map(str, said['loc']))}: {said['msg']}); expected the file of "
            "this version: move it away and rerun the command that wrote it"
        ) from None
