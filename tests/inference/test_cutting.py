from dataclasses import replace

import numpy as np
import pytest

from study.inference import cutting
from study.inference.cutting import Readings, cut_touching
from study.inference.grouping import Part, group_parts


def part_of(*boxes):
    mask = np.zeros((100, 200), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    (part,) = group_parts(mask)
    return part


def ring(left):
    return [
        (left, 20, left + 40, 28),
        (left, 72, left + 40, 80),
        (left, 20, left + 8, 80),
        (left + 32, 20, left + 40, 80),
    ]


def cut(part, read):
    return cut_touching(part, part.mask.astype(np.float32), read)


def read_as(digit, well):
    doubt = np.where(well, 1e-4, 0.9)
    return Readings(np.full(len(well), digit), doubt, np.where(well, 8.0, 20.0), np.where(well, 0.1, 3.0))


def noughts(pixels):
    """Reads as 0, and well, what is as wide as a nought, with ink on top and none below it."""
    widths, top, inside = (pixels.max(1) > 100).sum(1), pixels[:, 4:7, 13:15], pixels[:, 8:10, 13:15]
    return read_as(0, (widths >= 12) & (widths <= 15) & (top.max((1, 2)) > 100) & (inside.max((1, 2)) < 50))


def test_noughts_that_touch_are_cut_where_the_pieces_are_read_best():
    pieces = cut(part_of(*ring(20), *ring(66), *ring(112), (60, 48, 112, 52)), noughts)
    assert [piece.box[1::2] for piece in pieces] == [(20, 80)] * 3
    assert np.allclose([piece.box[0] for piece in pieces], [20, 66, 112], atol=7)
    assert min(piece.certain for piece in pieces) > 0.9


def test_digits_that_lean_are_cut_along_their_slant():
    mask = np.zeros((60, 80), bool)
    for y in range(60):
        for left in (30, 42):  # two strokes 10 wide that lean to the right, joined in the middle
            mask[y, left - y // 2 : left - y // 2 + (12 if 26 < y < 32 else 8)] = True
    (part,) = group_parts(mask)

    def ones(pixels):
        return read_as(1, (pixels > 100).sum(2).max(1) <= 8)

    pieces = cut(part, ones)
    assert len(pieces) == 2
    assert np.allclose([piece.mask.sum() for piece in pieces], part.mask.sum() / 2, rtol=0.15)


def test_cuts_are_uncertain_where_others_are_as_likely():
    def read(pixels):
        readings = read_as(0, np.ones(len(pixels), bool))
        return replace(readings, digits=(pixels.max(1) > 100).sum(1) // 3)  # every width is another digit

    assert min(piece.certain for piece in cut(part_of(*ring(20), *ring(60)), read)) < 0.9


def test_what_is_read_well_as_a_whole_stays_whole():
    def read(pixels):
        return read_as(-1, (pixels.max(1) > 100).sum(1) >= 18)

    part = part_of(*ring(20), (60, 46, 80, 54))
    assert [piece.box for piece in cut(part, read)] == [part.box]


def test_among_many_single_digits_it_takes_more_to_cut_one():
    part = part_of(*ring(20), *ring(58))

    def cut_among(singles):
        return len(cut_touching(part, part.mask.astype(np.float32), noughts, singles))

    assert [cut_among(0), cut_among(10**9)] == [2, 1]


def test_a_narrow_part_and_one_of_three_pixels_are_not_read_at_all():
    def read(pixels):
        raise AssertionError

    for part in (part_of((20, 20, 40, 80)), Part((0, 0, 3, 1), np.ones((1, 3), bool))):
        assert cut(part, read) == [part]


def test_a_part_with_more_pieces_than_anyone_writes_is_not_read_at_all(monkeypatch):
    def read(pixels):
        raise AssertionError

    monkeypatch.setattr(cutting, "MAX_PIECES", 2)
    part = part_of(*ring(20), *ring(66), (60, 48, 66, 52))
    assert cut(part, read) == [part]


def test_ways_are_summed_over_all_of_them():
    """Cuts 0, 1, 2: the whole, or two pieces of which the first may be either of two."""
    edges, scores = np.array([(0, 1), (0, 1), (0, 2), (1, 2)]), np.log([2.0, 3.0, 5.0, 7.0])
    total, shares = cutting.sum_of_ways(edges, scores, 2)
    assert total == pytest.approx(np.log(2 * 7 + 3 * 7 + 5))
    assert shares * np.exp(total) == pytest.approx([14, 21, 5, 35])
    assert cutting.likeliest_way(edges, scores, 2) == [1, 3]
    assert cutting.sum_of_ways(edges, scores, 3)[0] == -np.inf


def test_pieces_share_no_ink_and_lie_in_the_part():
    part = part_of(*ring(20), *ring(66), (60, 48, 66, 52))
    pieces = cut(part, noughts)
    plane = np.zeros((100, 200), int)
    for piece in pieces:
        left, top, right, bottom = piece.box
        plane[top:bottom, left:right] += piece.mask
    whole = np.zeros((100, 200), bool)
    whole[part.box[1] : part.box[3], part.box[0] : part.box[2]] = part.mask
    assert plane.max() == 1
    assert not (plane.astype(bool) & ~whole).any()
