import numpy as np

from study.inference.grouping import Part, group_parts, rows_of


def with_boxes(*boxes):
    mask = np.zeros((100, 160), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def boxes_of(*boxes):
    return [part.box for part in group_parts(with_boxes(*boxes))]


def test_two_digits_side_by_side_are_two_from_left_to_right():
    assert boxes_of((90, 20, 120, 80), (20, 22, 50, 80)) == [(20, 22, 50, 80), (90, 20, 120, 80)]


def test_the_detached_bar_of_a_five_belongs_to_it():
    assert boxes_of((40, 30, 80, 90), (60, 18, 95, 25)) == [(40, 18, 95, 90)]


def test_a_short_stroke_beside_a_tall_one_belongs_to_it():
    assert boxes_of((40, 10, 50, 90), (55, 40, 75, 48)) == [(40, 10, 75, 90)]


def test_two_tall_parts_one_above_the_other_with_a_gap_are_two():
    assert len(boxes_of((40, 2, 70, 40), (40, 56, 70, 96))) == 2


def test_a_broken_stroke_of_a_small_picture_makes_no_second_digit():
    assert len(boxes_of((11, 2, 18, 10), (8, 12, 23, 25))) == 1


def test_masks_of_groups_share_out_the_ink():
    mask = with_boxes((20, 20, 40, 80), (90, 20, 120, 80), (100, 10, 112, 16))
    parts = group_parts(mask)
    assert [part.mask.shape for part in parts] == [(60, 20), (70, 30)]
    assert sum(int(part.mask.sum()) for part in parts) == mask.sum()


def rows_by_box(*boxes):
    return [[part.box for part in row] for row in rows_of([Part(box, np.ones((1, 1), bool)) for box in boxes])]


def test_digits_are_read_row_by_row():
    above, below = [(60, 0, 70, 20), (5, 2, 15, 22)], [(30, 30, 40, 50), (90, 28, 100, 48)]
    assert rows_by_box(*below, *above) == [above[::-1], below]


def test_a_row_may_climb_across_the_sheet():
    climbing = [(20 * i, 200 - 8 * i, 20 * i + 12, 220 - 8 * i) for i in range(20)]
    below = [(20 * i, 235 - 8 * i, 20 * i + 12, 255 - 8 * i) for i in range(20)]
    assert rows_by_box(*climbing[::-1], *below) == [climbing, below]


def test_a_sheet_of_500_digits_is_500_parts():
    mask = np.zeros((500, 640), bool)
    for y in range(20):
        for x in range(25):
            mask[25 * y + 4 : 25 * y + 20, 25 * x + 5 : 25 * x + 12] = True
            mask[25 * y + 1 : 25 * y + 3, 25 * x + 5 : 25 * x + 12] = True  # a loose bar each
    rows = rows_of(group_parts(mask))
    assert [len(row) for row in rows] == [25] * 20
