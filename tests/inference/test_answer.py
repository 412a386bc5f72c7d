import numpy as np
import pytest

from study.inference.answer import why_not
from study.inference.preprocess import CUT_UNCERTAIN, SEVERAL_DIGITS, Prepared


def reason(count):
    boxes = tuple((left, 0, left + 1, 9) for left in range(count))
    prepared = Prepared(np.zeros((28, 28), np.uint8), boxes[0], boxes, (SEVERAL_DIGITS,))
    return why_not(prepared.flags, prepared, 1.0, 0.5, ("1",))


@pytest.mark.parametrize(("count", "end"), [(10, "9 0 10 9;"), (11, "9 0 10 9 and 1 more;"), (1200, "and 1190 more;")])
def test_of_many_digits_ten_are_listed(count, end):
    assert reason(count).startswith(f"{count} digits, at (left top right bottom) 0 0 1 9, 1 0 2 9")
    assert end in reason(count)
    assert len(reason(count)) < 200


def test_what_may_be_cut_elsewhere_is_left_open_however_surely_it_is_read():
    prepared = Prepared(np.zeros((28, 28), np.uint8), (0, 0, 9, 9), (), (CUT_UNCERTAIN,))
    assert "touch" in why_not(prepared.flags, prepared, 1.0, 0.5, ("1",))
