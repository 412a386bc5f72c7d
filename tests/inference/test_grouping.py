import numpy as np

from study.inference.grouping import cut_touching, group_parts


def with_boxes(*boxes):
    mask = np.zeros((100, 160), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def boxes_of(*boxes):
    return [box for box, _ in group_parts(with_boxes(*boxes))]


def test_two_digits_side_by_side_are_two_from_left_to_right():
    assert boxes_of((90, 20, 120, 80), (20, 22, 50, 80)) == [(20, 22, 50, 80), (90, 20, 120, 80)]


def test_the_detached_bar_of_a_five_belongs_to_it():
    assert boxes_of((40, 30, 80, 90), (60, 18, 95, 25)) == [(40, 18, 95, 90)]


def test_a_short_stroke_beside_a_tall_one_belongs_to_it():
    assert boxes_of((40, 10, 50, 90), (55, 40, 75, 48)) == [(40, 10, 75, 90)]


def test_two_tall_parts_one_above_the_other_with_a_gap_are_two():
    assert len(boxes_of((40, 2, 70, 40), (40, 56, 70, 96))) == 2


def test_a_part_twice_as_wide_as_a_digit_is_cut_where_it_is_thinnest():
    mask = with_boxes((10, 20, 50, 80), (60, 20, 100, 80), (50, 48, 60, 52))
    (whole,) = group_parts(mask)
    pieces = cut_touching(*whole)
    assert len(pieces) == 2
    assert 50 <= pieces[0][0][2] <= 60
    assert np.array_equal(pieces[0][1] | pieces[1][1], mask)
    assert not (pieces[0][1] & pieces[1][1]).any()


def test_a_part_as_wide_as_a_digit_is_not_cut():
    (whole,) = group_parts(with_boxes((10, 20, 70, 80)))
    assert cut_touching(*whole) == [whole]


def test_masks_of_groups_share_out_the_ink():
    mask = with_boxes((20, 20, 40, 80), (90, 20, 120, 80))
    parts = [part for _, part in group_parts(mask)]
    assert np.array_equal(parts[0] | parts[1], mask)
    assert not (parts[0] & parts[1]).any()
