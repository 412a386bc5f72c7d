import csv
import io
import json

from study.inference.answer import Prediction
from study.inference.render import render

TOP = ({"digit": 6, "probability": 0.75},)
OK = Prediction("a.png", "ok", 6, "6", 0.75, TOP, (6, 5), ("clipped",), set_labels=("6", "5"))
NAMED = Prediction("a.png", "ok", 0, "=six\x1b[2J", 0.75, TOP, (0, 1), set_labels=("=six\x1b[2J", "five"))
BAD = Prediction("=cmd()\x1b[2J.png", "error", reason="not a picture")


def text(form, *answers):
    return "".join(render(answers, form))


def test_json_is_one_list():
    assert json.loads(text("json", OK, BAD)) == [OK.to_dict(), BAD.to_dict()]
    assert json.loads(text("json")) == []


def test_csv_has_a_row_each_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(text("csv", OK, BAD))))
    assert rows[0]["set"] == "6 5"
    assert rows[0]["top_k"] == "6:0.750000"
    assert rows[1]["path"].startswith("'=cmd()")


def test_the_table_says_six_or_five_and_moves_no_cursor():
    shown = text("table", OK, BAD)
    assert "6 or 5" in shown
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 3


def test_class_names_stand_where_answers_do():
    assert "=six\\x1b[2J or five" in text("table", NAMED)
    row = next(csv.DictReader(io.StringIO(text("csv", NAMED))))
    assert (row["digit"], row["label"], row["set"]) == ("0", "'=six\x1b[2J", "0 1")
    assert json.loads(text("json", NAMED))[0]["label"] == NAMED.label
