from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from study.errors import ResultsError, UsageError
from study.records.files import (
    append_jsonl,
    read_json,
    read_jsonl,
    replacing,
    write_csv,
    write_json,
    write_npz,
    write_text,
)
from study.records.paths import StudyFiles, check_study_name, done_runs, prepare_results_folder

RECORD = {"number": 3, "parameters": {"x": 0.1, "width.0": 8}, "distributions": {"x": '{"name": "F", "a": {"b": 1}}'}}


@pytest.mark.parametrize("name", ["mnist", "a", "A-1_b.c", "0", "x" * 64])
def test_usable_study_names(name: str) -> None:
    assert check_study_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "-a", ".hidden", "a b", "a\n", "a\0", "<script>", "{{7*7}}", "é", "x" * 513],
)
def test_other_study_names_are_refused_in_one_short_line(name: str) -> None:
    with pytest.raises(UsageError, match="--name") as caught:
        check_study_name(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_the_sample_s_name_is_reserved() -> None:
    with pytest.raises(UsageError, match="reserved"):
        check_study_name("reference")


def test_a_repeat_goes_by_the_name_of_its_study(tmp_path: Path) -> None:
    study = StudyFiles(tmp_path / "mnist")
    assert [one.study_name for one in (study, *study.repeats(3))] == ["mnist"] * 3
    for other in ("repeats/mnist-repeat-2", "mnist/repeats/other", "mnist/other/mnist-repeat-2"):
        files = StudyFiles(tmp_path / other)
        assert files.study_name == files.name


def test_arrays_come_back_by_name_and_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "arrays.npz"
    write_npz(path, {"labels": np.arange(3), "cnn-t1-seed0": np.eye(2, dtype=np.float32)})
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(path, {"labels": np.array([{}], dtype=object)})
    with np.load(path) as arrays:
        assert arrays.files == ["labels", "cnn-t1-seed0"]
        assert arrays["cnn-t1-seed0"].dtype == np.float32
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_previous_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "before")
    with pytest.raises(RuntimeError), replacing(path) as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_between_write_and_rename_keeps_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"value": 1})
    script = (
        "import os, sys, signal, pathlib, study.records.files as r\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "r.write_json(pathlib.Path(sys.argv[1]), {'value': 2})\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert ended.returncode == -9
    assert read_json(path) == {"value": 1}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_and_write_a_file_is_for_the_umask_to_say(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "text")
        append_jsonl(tmp_path / "b", {"x": 1})
        with replacing(tmp_path / "c") as part:  # as safetensors does, whose own file is for its owner alone
            part.unlink()
            part.touch(mode=0o600)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.iterdir())] == [mode, mode, mode]


def test_the_mark_that_some_editors_put_before_utf_8_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"name": "é"}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"name": "é"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_no_token_that_browsers_refuse(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert not (tmp_path / "a.json").exists()


def test_missing_and_broken_json_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"a\.json is missing"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b'{"a": \xff')
    with pytest.raises(ResultsError, match=r"b\.json is not JSON"):
        read_json(tmp_path / "b.json")


def test_csv_quotes_what_needs_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["a", "b"], [[1, 'x,"y"'], [None, "z"]])
    assert (tmp_path / "a.csv").read_text() == 'a,b\n1,"x,""y"""\n,z\n'


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    records = [RECORD, {"number": 4, "reason": "non-ascii: ü\n", "value": 0.1 + 0.2}]
    for record in records:
        append_jsonl(path, record)
    assert read_jsonl(path) == records
    assert read_jsonl(tmp_path / "absent.jsonl") == []


def test_a_record_torn_at_any_byte_is_left_out_and_does_not_harm_the_next(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    append_jsonl(path, RECORD)
    first = path.read_bytes()
    second = {"number": 4, **{key: RECORD[key] for key in ("parameters", "distributions")}}
    append_jsonl(path, second)
    whole = path.read_bytes()
    for size in range(len(first), len(whole)):
        path.write_bytes(whole[:size])
        assert read_jsonl(path) == [RECORD], size
        append_jsonl(path, second)
        assert path.read_bytes() == whole, size


def test_the_first_record_torn_leaves_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_bytes(b'{"number": 1, "para')
    assert read_jsonl(path) == []
    append_jsonl(path, RECORD)
    assert read_jsonl(path) == [RECORD]


def test_every_changed_byte_of_a_whole_record_is_found(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    append_jsonl(path, RECORD)
    append_jsonl(path, {"number": 4})
    whole = path.read_bytes()
    for position in range(whole.index(b"\n")):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ResultsError, match="line 1 is damaged"):
            read_jsonl(path)


def test_a_record_that_json_cannot_hold_is_not_half_written(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    append_jsonl(path, RECORD)
    with pytest.raises(ValueError, match="JSON compliant"):
        append_jsonl(path, {"value": float("nan")})
    assert read_jsonl(path) == [RECORD]


def test_a_results_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ResultsError, match="cannot be written"):
            prepare_results_folder(root)


def test_a_results_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    prepare_results_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_only_finished_runs_count_and_old_ones_do_not(files: StudyFiles) -> None:
    assert done_runs(files) == []
    for name, done in (("b", True), ("a", True), ("c", False)):
        files.run(name).root.mkdir(parents=True)
        if done:
            write_json(files.run(name).done, {"hash": "x"})
    (files.runs / "old" / "a-2026").mkdir(parents=True)
    write_json(files.runs / "old" / "a-2026" / "DONE", {})
    assert done_runs(files) == ["a", "b"]
    assert not files.run("c").is_done()


def test_records_are_single_lines_of_json(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "t.jsonl", {"reason": "two\nlines"})
    assert [json.loads(line)["reason"] for line in (tmp_path / "t.jsonl").read_text().splitlines()] == ["two\nlines"]


def test_a_line_holds_the_checksum_of_its_bytes_and_older_lines_that_of_their_record(tmp_path: Path) -> None:
    path, record = tmp_path / "trials.jsonl", {"number": 1, "family": "mlp", "value": 0.25}
    append_jsonl(path, record)
    older = json.dumps({**record, "crc32": f"{zlib.crc32(json.dumps(record, sort_keys=True).encode()):08x}"})
    with path.open("a") as stream:
        stream.write(older + "\n")
    assert read_jsonl(path) == [record, record]


@pytest.mark.parametrize("position", range(8, 70, 7))
def test_a_byte_changed_in_any_line_is_noticed(tmp_path: Path, position: int) -> None:
    path = tmp_path / "trials.jsonl"
    append_jsonl(path, {"number": 1, "family": "mlp", "value": 0.25, "reason": None})
    line = bytearray(path.read_bytes())
    line[position] ^= 1
    path.write_bytes(line)
    with pytest.raises(ResultsError, match="line 1 is damaged"):
        read_jsonl(path)
