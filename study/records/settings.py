"""The settings of a study as typed, validated, frozen models, and their file `study.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from study.errors import ResultsError
from study.records.files import read_text, write_text
from study.records.paths import StudyFiles
from study.records.trial import Form, Trials

# Random draws before TPE models anything; fewer than Optuna's 10, because a short search has few trials to spend.
N_STARTUP_TRIALS = 8
# Of the worse trials TPE looks at so many, the newest: with them a proposal costs the same however many there are, and
# the draws of the first 1,000 trials are those that it would make of all of them (benchmarks/scale.py).
SAMPLER_WINDOW = 975
SamplerName = Literal["tpe", "random", "qmc", "grid"]
PrunerName = Literal["asha", "hyperband", "median", "none"]
Equal = Literal["examples", "seconds"]  # what all trials of a family have spent at a rung
# How the shipped network reads: each picture once, or what it is unsure of again, shifted by a pixel each way, where
# that answers more validation images rightly.
Reading = Literal["once", "shifts"]
# Which images validate the searches of a study: the same ones, or another sixth of the training data in each.
Validation = Literal["shared", "own"]


class Frozen(BaseModel):
    """Base of every settings model: immutable, and an unknown key is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Configuration(Frozen):
    """Base of what a configuration is checked against: text is no number, a number no truth value, 32.0 no int."""

    model_config = ConfigDict(strict=True)


class DataPlace(Frozen):
    """Where a data set is and how it is read. `sha256` are digests by file role, of the raw IDX bytes or, for a known
    data set that is not MNIST, of the values; `transposed`, `inverted` and `levels` say what is done to the pictures
    on loading: rows and columns exchanged, dark ink made bright, these levels stretched to 0 and 255. `split_sha256` is
    the digest of the validation images' indices, which older models do not name, `sixth` which of the split's sixths
    they are, from 0 on."""

    name: str
    data_dir: str | None = None
    transposed: bool | None = None  # None in older studies, which did so to downloads alone
    inverted: bool = False
    levels: tuple[int, int] | None = None
    split_seed: int = Field(default=0, ge=0)
    split_sha256: str | None = None
    sixth: int = Field(default=0, ge=0)
    sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def was_transposed(self) -> bool:
        return self.data_dir is None and self.name == "emnist-digits" if self.transposed is None else self.transposed


class Decoded(Frozen):
    """The folder of pictures of which a study has a copy of its own, and what it held then: a digest of names and sizes
    by split."""

    folder: str
    listing: dict[str, str]


class DatasetSettings(DataPlace):
    """What was compared on; `decoded` says that it is the study's own copy of a folder of pictures; `mean` and `std`
    are of the training part's pixels scaled to [0, 1]. `on_black` says that all images have black ground, so that
    networks may be shown others on black, too. `validation_in_train` counts the validation images that are in the
    training part, too; `n_test` the images of the test part, once it is there. Older studies say and count none."""

    decoded: Decoded | None = None
    classes: tuple[str, ...]
    n_train: int = Field(gt=0)
    n_validation: int = Field(gt=0)
    n_test: int | None = None
    validation_in_train: int | None = None
    split_sha256: str
    mean: float
    std: float = Field(gt=0)
    on_black: bool = False

    @property
    def is_bundled_mnist(self) -> bool:
        """Whether these are MNIST's own images: a folder of somebody's own may be called mnist, too."""
        return self.name == "mnist" and self.data_dir is None

    @property
    def lacks_test(self) -> bool:
        """Whether these are somebody's own pictures without a test part."""
        is_npz = self.data_dir is not None and self.data_dir.endswith(".npz")
        return (self.decoded is not None or is_npz) and "test-images" not in self.sha256

    def for_model(self) -> dict[str, Any]:
        """What a model says of the data it was trained on: enough to find its validation images again."""
        return self.model_dump(include=set(DataPlace.model_fields))


class Ladder(Frozen):
    """Rungs in examples seen since the beginning of the trial, rising; of the trials that reach a rung about one in
    `reduction_factor` goes on. Each stretch between rungs is one annealed cycle of the learning rate. They are equal in
    examples, or in the seconds that the family's typical configuration takes for these. Trials learn from so many
    `images` of the training part, always the same ones, or from all of them where it is None."""

    examples: tuple[int, ...] = Field(min_length=1)
    reduction_factor: int = Field(ge=2)
    equal: Equal = "examples"
    images: int | None = Field(default=None, ge=1)

    def in_words(self, examples: int) -> str:
        """Where a trial stands that has reached a rung."""
        return f"{examples} examples" if self.equal == "examples" else f"the rung of {examples} examples"


class Limit(Frozen):
    """How far a configuration's key can go whatever a search space asks for, None where there is no end, and what else
    does what the number at its high end was wanted for."""

    low: float | None = None
    high: float | None = None
    instead: str = "try another space or family"


class FamilySettings(Frozen):
    """A family as it takes part in a study: the text of its search space, kept so that the study stands alone, and the
    limits of its configuration by key, for readers that load no network. Older studies have none of these. A family of
    another installed package has the package's name and version."""

    space_file: str
    space: str
    ladder: Ladder
    limits: dict[str, Limit] = Field(default_factory=dict)
    package: str | None = None
    package_version: str | None = None


class RetrainSettings(Frozen):
    """How many configurations a family hands over and how often each is trained again. Without final seeds the
    finalist's candidate runs are its final runs, too: they have not seen the validation images."""

    candidates: int = Field(default=3, ge=1)
    candidate_seeds: int = Field(default=1, ge=1)
    final_seeds: int = Field(default=3, ge=0)


class GivenConfiguration(Frozen):
    """A configuration that the user gave the study in a file of this name."""

    file: str
    family: str
    config: dict[str, Any]


class StudySettings(Frozen):
    """All that is fixed when a study is created; budget, trials and workers are free and live in the ledger."""

    format_version: Form = 2  # of its trials' lines; a study keeps the one that it began with
    id: str | None = None  # tells the study from others of its name; older studies get one when they are continued
    name: str
    folder: str | None = None  # where it was last continued, absolute
    created: str
    seed: int = Field(ge=0)
    sampler: SamplerName
    sampler_window: int | None = Field(default=None, gt=0)  # None: TPE looks at all trials, as in older studies
    # Whether every other proposal of TPE changes one choice of a leader; in older studies none.
    neighbours: bool = False
    surrogate: bool = (
        False  # whether every other proposal is a surrogate's, of the rest as above; in older studies none
    )
    pruner: PrunerName
    warm_starts: int = Field(default=2, ge=0)
    # Whether given configurations are trained apart from the search, which does not see them; those of older studies
    # are trials of the search.
    given: Literal["apart"] | None = None
    given_files: tuple[GivenConfiguration, ...] = ()
    imported_from: str | None = None
    single_family: bool = False  # that nothing is compared was asked for
    reading: Reading = "once"  # of the shipped network; so it is in all older studies
    validation: Validation = "shared"  # so it is in all older studies
    last_stage: bool = False  # a longer run of what ships, on digits by other hands too; older studies have none
    repeat_of: str | None = None  # the study of which this is a further search
    storage: str | None = None  # a database's URL without its password; None is SQLite in the study's folder
    dataset: DatasetSettings
    retrain: RetrainSettings
    families: dict[str, FamilySettings]
    versions: dict[str, str]

    @property
    def sampler_in_words(self) -> str:
        """How configurations are proposed."""
        if not self.neighbours:
            return self.sampler
        near = f"{self.sampler}, and near the best every other time"
        return f"{near}; up to 16 workers half of the time a surrogate instead" if self.surrogate else near

    def of_search(self, trials: Trials) -> Trials:
        """Those that are the search's own: what it found and, in an older study, what was given to it."""
        return trials.found if self.given == "apart" else trials


def explain(error: ValidationError) -> str:
    """The first finding of pydantic in one line: key, rule and value seen."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "(top level)"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if first["type"] == "missing":
        return f"missing key '{key}'"
    return f"key '{key}': {first['msg'][:1].lower()}{first['msg'][1:]}, seen {first['input']!r:.80}"


def save_settings(settings: StudySettings, path: Path) -> None:
    write_text(path, tomli_w.dumps(settings.model_dump(exclude_none=True), multiline_strings=True))


def change_settings(path: Path, **changes: Any) -> None:
    """Write some settings of a study and leave the others as they are in the file, its former name and place included:
    by these the database knows it, until it is opened."""
    save_settings(read_settings(path).model_copy(update=changes), path)


def load_settings(path: Path) -> StudySettings:
    """Read `study.toml` of a study that is named as its folder is now, whatever name it had when the file was written.

    ResultsError names the file and the first key that is wrong.
    """
    settings, files = read_settings(path), StudyFiles(path.parent)
    changes: dict[str, Any] = {"name": files.name, "repeat_of": files.repeat_of or settings.repeat_of}
    if settings.dataset.decoded is not None:  # the copy moves with the study
        place = os.path.abspath(files.whole.pictures)  # noqa: PTH100 (resolve() would follow links)
        changes["dataset"] = settings.dataset.model_copy(update={"data_dir": place})
    return settings.model_copy(update=changes)


def read_settings(path: Path) -> StudySettings:
    """Read `study.toml` as it was written; one that names no form is of form 1. ResultsError names the file and the
    first key that is wrong."""
    try:
        return StudySettings.model_validate({"format_version": 1} | tomllib.loads(read_text(path)))
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing: there is no study here; start one with `study run`") from None
    except ValidationError as error:
        raise ResultsError(f"{path}: {explain(error)}; restore the file or start a new study with --name") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is not TOML ({error}); restore the file or start a new study") from None


def plain(value: Any) -> Any:
    """Tuples to lists, recursively: what JSON and TOML files return for what was written to them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def typed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A flat configuration as the strict models read it: lists for tuples, and whole numbers as ints, since a study of
    an earlier version may hold 32.0 where an int is meant."""
    return {key: _whole(value) for key, value in plain(dict(config)).items()}


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
