"""A recording that a kill interrupted goes on, and its numbers come back as numbers."""

from pathlib import Path

import pytest
from _rows import Rows, paired_ratio, spread


def test_rows_come_back_with_numbers_parsed(tmp_path: Path) -> None:
    path = tmp_path / "recorded" / "some.csv"
    rows = Rows(path, ("name", "number"))
    rows.add({"name": "a, b", "number": 1, "value": 0.5, "status": "failed:\nno"})
    rows.add({"name": "c", "number": -2, "value": None, "status": "ok"})
    again = Rows(path, ("name", "number"))
    assert (
        again.all()
        == rows.all()
        == [
            {"name": "a, b", "number": 1, "value": 0.5, "status": "failed: no"},
            {"name": "c", "number": -2, "value": None, "status": "ok"},
        ]
    )
    assert again.has("c", -2)
    assert not again.has("c", 1)
    with pytest.raises(ValueError, match="recorded already"):
        again.add({"name": "c", "number": -2, "value": 1, "status": "ok"})
    with pytest.raises(ValueError, match="columns"):
        again.add({"name": "d", "number": 3})


@pytest.mark.parametrize("torn", ["c,3,0", "c"])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "some.csv"
    whole = "name,number,value\na,1,2\n"
    path.write_text(whole + torn)
    rows = Rows(path, ("name", "number"))
    assert [row["name"] for row in rows.all()] == ["a"]
    assert path.read_text() == whole + torn  # a reader changes nothing: another process may be writing this line
    rows.add({"number": 3, "name": "c", "value": 4})
    assert path.read_text() == whole + "c,3,4\n"


def test_a_torn_header_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("name,num")
    Rows(path, ("name",)).add({"name": "a", "number": 1})
    assert path.read_text() == "name,number\na,1\n"


def test_summaries() -> None:
    assert spread([1.0, 2.0, 3.0], 1) == "2.0 ± 1.0 (n = 3)"
    assert paired_ratio([2, 6, 4], [1, 2, 1]) == "3.00 (2.00 to 4.00, n = 3)"
