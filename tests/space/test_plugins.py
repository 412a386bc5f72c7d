"""Families of another installed package: found, searched, used, and missed in one line."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.command.cli import main
from study.errors import ConfigError, SpaceError
from study.models import build, family_of
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.settings import Limit, load_settings
from study.records.trial import read_trials
from study.search.spaces import check_space
from study.space.plugins import Plugin, plugin_of
from study.space.sampling import find_space
from study.training.config import known_keys

NETWORK = """
from pydantic import Field
from torch import nn

from study.records.settings import Configuration


class TowerConfig(Configuration):
    height: int = Field(ge=1, le=16, json_schema_extra={"instead": "build another tower"})


class Tower(nn.Sequential):
    Config = TowerConfig

    def __init__(self, config, n_classes):
        hidden = nn.Linear(784, config.height)
        super().__init__(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(config.height, n_classes))
"""
SPACE = """
family = "tower"
height = { low = 8, high = 16 }
optimizer = "adamw"
learning_rate = { low = 1e-3, high = 3e-2, log = true }
batch_size = 64
"""
NEVER_WINS = """
family = "mlp"
depth = 1
width = [8]
activation = { choices = ["relu", "tanh"] }
normalisation = "none"
dropout = 0.0
optimizer = "sgd"
learning_rate = 1e-7
batch_size = 64
"""
MISSING = "family 'tower' is of package digit-tower 0.1, which is not installed: pip install digit-tower"


def install(
    site: Path,
    name: str = "tower",
    version: str = "0.1",
    value: str = "digit_tower:Tower",
    package: str = "digit_tower",
) -> None:
    """What an installer leaves of a package that offers a family."""
    about = site / f"{package}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: {version}\n")
    (about / "entry_points.txt").write_text(f"[digit_study.families]\n{name} = {value}\n")


def write_package(site: Path, package: str, network: str = NETWORK, space: str | None = SPACE) -> None:
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text(network)
    if space is not None:
        (site / package / "tower.toml").write_text(space)


def study(*words: str | Path) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path], Path]) -> Iterator[dict[str, Path]]:
    """An installed package with the family tower, and a finished study of it and the feed-forward family."""
    root = tmp_path_factory.mktemp("plugins")
    paths = {"root": root, "site": root / "site", "results": root / "results", "data": write_idx(root / "digits")}
    install(paths["site"])
    write_package(paths["site"], "digit_tower")
    (root / "mlp.toml").write_text(NEVER_WINS)
    command = [sys.executable, "-m", "study", *_run(paths)]
    environment = os.environ | {"PYTHONPATH": str(paths["site"])}
    ended = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    sys.path.insert(0, str(paths["site"]))
    yield paths
    sys.path.remove(str(paths["site"]))


def _run(work: dict[str, Path]) -> list[str]:
    words = ["run", "--results", work["results"], "--name", "towers", "--data-dir", work["data"], "--families"]
    words += ["mlp,tower", "--space", work["root"] / "mlp.toml", "--n-trials", "2", "--workers", "1", "--no-evaluate"]
    return [str(word) for word in words]


@pytest.fixture
def removed(work: dict[str, Path]) -> Iterator[None]:
    away = work["root"] / "away"
    work["site"].rename(away)
    work["site"].mkdir()
    yield
    shutil.rmtree(work["site"])
    away.rename(work["site"])


def test_it_is_searched_and_the_study_says_whose_it_is(work: dict[str, Path]) -> None:
    files = StudyFiles(work["results"] / "towers")
    family = load_settings(files.settings).families["tower"]
    assert (family.package, family.package_version, family.space_file) == ("digit-tower", "0.1", "tower.toml")
    assert family.limits["height"] == Limit(low=1, high=16, instead="build another tower")
    assert load_settings(files.settings).families["mlp"].package is None
    states = [record.state for record in read_trials(files.trials_jsonl) if record.family == "tower"]
    assert len(states) == 2
    assert "FAIL" not in states
    assert read_json(files.finalists)["families"]["tower"]["final_runs"]


def test_it_predicts_and_is_found_sound(work: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(work["root"] / "digit.png")
    named = ["--results", work["results"], "--name", "towers"]
    about = read_json(StudyFiles(work["results"] / "towers").model / "model.json")
    assert (about["family"], about["package"], about["package_version"]) == ("tower", "digit-tower", "0.1")
    assert study("predict", *named, work["root"] / "digit.png", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert study("doctor", *named, "--format", "json") == 0
    found = {row["what"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert "tower (digit-tower 0.1)" in found["search spaces"]


def test_its_space_is_listed_shown_and_checked(work: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert study("spaces", "list", "--format", "json") == 0
    files = {row["family"]: row["file"] for row in json.loads(capsys.readouterr().out)}
    assert files["tower"] == str(work["site"] / "digit_tower" / "tower.toml")
    assert study("spaces", "show", "tower") == 0
    assert "height" in capsys.readouterr().out
    assert study("spaces", "check", "tower", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "sound"


def test_another_version_is_a_warning(work: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = work["site"].glob("*.dist-info")
    kept = old.rename(work["root"] / old.name)
    install(work["site"], version="0.2")
    try:
        assert study(*_run(work)) == 0
    finally:
        shutil.rmtree(next(work["site"].glob("*.dist-info")))
        kept.rename(old)
    assert "digit-tower was 0.1 when family 'tower' joined this study, now 0.2" in capsys.readouterr().err


@pytest.mark.usefixtures("removed")
def test_without_the_package_every_verb_that_needs_it_says_so_in_one_line(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--results", str(work["results"]), "--name", "towers"]
    for words in (
        _run(work),
        ["retrain", *named],
        ["evaluate", *named],
        ["predict", *named, work["root"] / "digit.png"],
        ["export", *named],
    ):
        assert study(*words) == 1
        said = capsys.readouterr().err
        assert MISSING in said
        assert said.count("\n") == 1
    assert study("doctor", *named, "--format", "json") == 1
    unsound = [row for row in json.loads(capsys.readouterr().out) if not row["sound"]]
    assert {row["what"]: row["found"] for row in unsound}["runs"] == MISSING
    assert study("report", *named) == 0
    assert study("status", *named) == 0


def test_a_package_that_no_longer_has_the_family_is_told_from_none(
    work: dict[str, Path], removed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    install(work["site"], name="castle", version="0.3")
    assert study(*_run(work)) == 1
    said = capsys.readouterr().err
    assert "its version 0.3, which is installed, does not offer it: pip install digit-tower==0.1" in said


# --- mistakes of a package ------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder of packages of its own, which alone offers families."""
    before = list(sys.path)
    sys.path[:] = [str(tmp_path), *(path for path in before if not (Path(path) / "digit_tower").is_dir())]
    importlib.invalidate_caches()
    yield tmp_path
    sys.path[:] = before


@pytest.mark.parametrize(
    ("package", "network", "said"),
    [
        ("tower_a", "import nowhere_to_be_found", "cannot be loaded (ModuleNotFoundError: No module named"),
        ("tower_b", "", "cannot be loaded (AttributeError"),
        ("tower_c", "Tower = 3", "is 3, expected a class of torch.nn.Module"),
        ("tower_d", "from torch import nn\nclass Tower(nn.Module): pass", "has no Config"),
        ("tower_e", "from torch import nn\nclass Tower(nn.Module):\n  Config = dict", "expected a pydantic model"),
        ("tower_f", NETWORK.replace("height", "momentum"), "'momentum', which is one of the training's"),
    ],
)
def test_a_mistake_names_package_and_entry_point(site: Path, package: str, network: str, said: str) -> None:
    write_package(site, package, network)
    install(site, value=f"{package}:Tower", package=package)
    with pytest.raises(ConfigError) as caught:
        known_keys("tower")
    text = str(caught.value)
    assert text.startswith(f"package {package.replace('_', '-')} 0.1, entry point tower = {package}:Tower: ")
    assert said in text
    assert "\n" not in text


def test_a_space_of_another_family_is_refused_and_one_is_asked_for(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_package(site, "tower_g", space=SPACE.replace('"tower"', '"castle"'))
    install(site, value="tower_g:Tower", package="tower_g")
    words = ["run", "--results", site / "results", "--families", "mlp,tower"]
    assert study(*words) == 1
    assert "tower.toml is of family 'castle', expected 'tower'" in capsys.readouterr().err
    (site / "tower_g" / "tower.toml").unlink()
    assert study(*words) == 1
    assert "no tower.toml lies beside the module: give a search space with --space FILE" in capsys.readouterr().err


def test_a_network_that_cannot_be_built_is_said_before_it_is_searched(site: Path) -> None:
    write_package(site, "tower_l", NETWORK.replace("hidden = ", "hidden = 1 / 0\n        hidden = "))
    install(site, value="tower_l:Tower", package="tower_l")
    with pytest.raises(SpaceError, match=r"tower\.toml: the branch .* cannot be built: ZeroDivisionError: division"):
        check_space(find_space("tower"))


def test_two_packages_of_one_family_are_one_too_many(site: Path) -> None:
    install(site, package="tower_h")
    install(site, package="tower_i")
    with pytest.raises(ConfigError, match=r"offered twice, by package tower-h 0\.1.*package tower-i.*uninstall one"):
        plugin_of("tower")


def test_the_program_s_own_family_keeps_its_name(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, name="cnn", value="tower_j:Tower", package="tower_j")
    assert family_of("cnn").__module__ == "study.models.cnn"
    assert Path(find_space("cnn").source).parent.name == "search_spaces"
    assert study("doctor", "--results", site / "results", "--format", "json") == 0
    found = {row["what"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert "tower_j:Tower not used, since the program has a family of that name" in found["search spaces"]


def test_a_module_below_packages_is_found_without_their_import(site: Path) -> None:
    below = site / "tower_k" / "nets"
    write_package(below, "high", network="raise AssertionError")
    for folder in (site / "tower_k", below):
        (folder / "__init__.py").write_text("raise AssertionError('imported')")
    (below / "tower.toml").write_text(SPACE)
    (below / "flat.py").write_text("raise AssertionError('imported')")
    install(site, value="tower_k.nets.flat:Tower", package="tower_k")
    assert find_space("tower").source == str(below / "tower.toml")
    plugin = plugin_of("tower")
    assert isinstance(plugin, Plugin)
    with pytest.raises(ConfigError, match="AssertionError: imported"):
        build({"family": "tower"}, 10)
