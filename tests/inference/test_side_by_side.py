"""Pictures read by several processes: the same answers, and none of those processes stays."""

import multiprocessing
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from study.errors import UsageError
from study.inference import side_by_side as reading
from study.inference.predictor import Predictor
from study.inference.refusal import measure_refusals, two_digits
from study.inference.side_by_side import in_turn, side_by_side


def readers():
    return [psutil.Process(child.pid) for child in multiprocessing.active_children() if "reader" in child.name]


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def told(answers):
    """Predictions by group, in a form that compares."""
    return [[(replace(one, pixels=None), one.pixels.tobytes()) for one in group] for group in answers]


def test_several_processes_give_the_answers_of_one_and_are_gone_afterwards(make_bundle, digits):
    predictor = Predictor.load(make_bundle())
    groups = [list(digits[0][:3]), [], list(digits[0][3:5])]
    groups += [[two_digits(np.random.default_rng(seed), digits[0], 0)] for seed in range(2)]
    with side_by_side(2) as predict:
        found = predict(predictor, groups, segment=True)
        again = predict(predictor, groups[:1])  # fewer
        assert len(readers()) == 2
        rows = measure_refusals(predictor, *digits, per_kind=2, predict=predict)
    assert told(found) == told(in_turn(predictor, groups, segment=True))
    assert told(again) == told(in_turn(predictor, groups[:1]))
    assert [len(answers) for answers in found[:3]] == [3, 0, 2]
    assert rows == measure_refusals(predictor, *digits, per_kind=2)
    assert not readers()


def test_an_error_is_raised_here_and_does_not_keep_the_next_ones_from_being_read(make_bundle, digits):
    predictor = Predictor.load(make_bundle())
    with side_by_side(2) as predict:
        with pytest.raises(UsageError, match="top_k is 0"):
            predict(predictor, [[digits[0][0]]], top_k=0)
        assert told(predict(predictor, [[digits[0][0]]])) == told(in_turn(predictor, [[digits[0][0]]]))


def test_a_network_that_cannot_be_sent_is_asked_here(make_bundle, digits):
    predictor, groups = Predictor.load(make_bundle()), [[digits[0][0]], [digits[0][1]]]
    predictor.reader.plugin_hook = lambda x: x
    with side_by_side(2) as predict:
        assert told(predict(predictor, groups)) == told(in_turn(predictor, groups))


@pytest.mark.parametrize("started", [0, 1])
def test_where_processes_cannot_be_started_fewer_do(make_bundle, digits, monkeypatch, started):
    predictor, groups = Predictor.load(make_bundle()), [[digit] for digit in digits[0][:3]]
    start, left = reading.start_process, [True] * started

    def refused(*words):
        if not left:
            raise BlockingIOError("no more processes")
        left.pop()
        return start(*words)

    monkeypatch.setattr(reading, "start_process", refused)
    with side_by_side(2) as predict:
        assert len(readers()) == started
        assert told(predict(predictor, groups)) == told(in_turn(predictor, groups))
    assert not readers()


def test_where_one_was_killed_this_process_reads_what_it_had(make_bundle, digits):
    predictor, groups = Predictor.load(make_bundle()), [[digit] for digit in digits[0][:3]]
    with side_by_side(2) as predict:
        readers()[0].kill()
        for _ in range(2):
            assert told(predict(predictor, groups)) == told(in_turn(predictor, groups))


def test_they_end_with_a_process_that_is_killed():
    script = """
import multiprocessing, time
from study.inference.side_by_side import side_by_side
if __name__ == "__main__":
    with side_by_side(2):
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as killed:
        found = [psutil.Process(int(pid)) for pid in killed.stdout.readline().split()]
        killed.kill()
    assert len(found) == 2
    last = time.monotonic() + 60
    while not all(has_ended(process) for process in found):
        assert time.monotonic() < last
        time.sleep(0.02)
