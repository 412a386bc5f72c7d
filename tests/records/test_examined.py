from __future__ import annotations

import json
from pathlib import Path

import pytest

from study.errors import ResultsError
from study.records.examined import Ablation, Duplicates, Latencies, read_examined

SWAP = {"parameter": "activation", "place": 0, "from": "relu", "value": "gelu", "also": {}, "failed": "nan at step 3"}
ABLATED = {"trial": 4, "examples": 100, "accuracies": None, "rows": [SWAP], "left_out": [], "seconds_left_out": 0.0}


def test_what_was_read_is_written_under_the_keys_of_its_file(tmp_path: Path) -> None:
    content = {"seeds": 3, "n_validation": 10, "families": {"cnn": ABLATED}}
    (tmp_path / "ablation.json").write_text(json.dumps(content))
    found = read_examined(Ablation, tmp_path / "ablation.json")
    assert found is not None
    assert found.families["cnn"].rows[0].replaced == "relu"
    assert found.to_dict() == content


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_examined(Duplicates, tmp_path / "duplicates.json") is None


def test_a_file_of_another_form_is_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "latency.json").write_text('{"measurements": [{"family": "cnn"}]}')
    with pytest.raises(ResultsError, match=r"latency\.json is of an unknown form \(measurements\.0\.batch_size"):
        read_examined(Latencies, tmp_path / "latency.json")
