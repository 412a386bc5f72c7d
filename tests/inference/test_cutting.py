import numpy as np

from study.inference.cutting import cut_touching
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


def noughts(pixels):
    """Reads as 0, and well, what is as wide as a nought."""
    widths = (pixels.max(1) > 100).sum(1)
    return np.zeros(len(pixels), np.int64), np.where((widths >= 12) & (widths <= 15), 6.0, -6.0)


def test_noughts_that_touch_are_cut_where_the_pieces_are_read_best():
    pieces = cut(part_of(*ring(20), *ring(66), *ring(112), (60, 48, 112, 52)), noughts)
    assert [piece.box[1::2] for piece in pieces] == [(20, 80)] * 3
    assert np.allclose([piece.box[0] for piece in pieces], [20, 66, 112], atol=7)


def test_what_is_read_well_as_a_whole_stays_whole():
    def read(pixels):
        return np.full(len(pixels), -1), np.full(len(pixels), 3.0)

    part = part_of(*ring(20), (60, 46, 80, 54))
    assert [piece.box for piece in cut(part, read)] == [part.box]


def test_a_narrow_part_is_not_read_at_all():
    def read(pixels):
        raise AssertionError

    part = part_of((20, 20, 40, 80))
    assert cut(part, read) == [part]


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


def test_a_part_of_three_pixels_is_left_alone():
    part = Part((0, 0, 3, 1), np.ones((1, 3), bool))
    assert cut(part, noughts) == [part]
