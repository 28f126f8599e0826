import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from view_helpers import EVIL

import graphnn as gn
from graphnn.view.chart import history_chart, ticks
from graphnn.view.svg import SVG

NAN, INF = float("nan"), float("inf")


def drawn(text):
    """The root, and for each curve its path, in pairs of coordinates."""
    root = ElementTree.fromstring(text)
    paths = [path.get("d") for path in root.iter(f"{{{SVG}}}path")]
    return root, [[tuple(map(float, pair.split(","))) for pair in path[1:].split("L")] for path in paths]


def texts(root):
    return [element.text for element in root.iter(f"{{{SVG}}}text")]


def test_curves_have_the_shape_of_the_numbers():
    root, (first, second) = drawn(gn.chart({"a": [0.0, 1.0, 0.5], "b": [1.0, 1.0, 1.0]}, title="T", x_label="step"))
    (x0, y0), (x1, y1), (x2, y2) = first
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 > y2 > y1, "up is a smaller y"
    assert y0 - y2 == pytest.approx(y2 - y1, abs=0.02)
    assert {y for _, y in second} == {y1}
    assert {"T", "step", "a", "b", "0", "0.2", "0.8", "1", "2", "3"} <= set(texts(root))


def test_not_a_number_leaves_a_gap():
    _, paths = drawn(gn.chart({"a": [1.0, 2.0, NAN, 3.0, 4.0, INF, 5.0]}))
    assert [len(path) for path in paths] == [2, 2]
    root, _ = drawn(gn.chart({"a": [1.0, 2.0, NAN, 3.0, 4.0, INF, 5.0]}))
    assert len(list(root.iter(f"{{{SVG}}}circle"))) == 5, "the lonely point is there too"


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [NAN, INF]}])
def test_nothing_to_draw(series):
    root, paths = drawn(gn.chart(series))
    assert paths == []
    assert "no values" in texts(root)
    assert "no values" in root[1].text


def test_one_point_and_equal_points():
    root, paths = drawn(gn.chart({"loss": [0.25]}))
    assert paths == []
    assert len(list(root.iter(f"{{{SVG}}}circle"))) == 1
    _, paths = drawn(gn.chart({"loss": [3, 3, 3]}))
    assert len({y for _, y in paths[0]}) == 1


def test_words_for_those_who_do_not_see_it():
    root, _ = drawn(gn.chart({"loss": [0.9, 0.5, 0.1]}, title="training"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"
    assert root[0].text == "training"
    assert root[1].text == "training: loss goes from 0.9 to 0.1 over 3 points."


def test_curves_differ_in_dashes_too():
    text = gn.chart({name: [1, 2] for name in "abcde"})
    root = ElementTree.fromstring(text)
    styles = [(p.get("stroke"), p.get("stroke-dasharray")) for p in root.iter(f"{{{SVG}}}path")]
    assert len({stroke for stroke, _ in styles}) == len({dash for _, dash in styles}) == 5


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    history = {"loss": [0.9, 0.4], "val_loss": [1.0, 0.6], "accuracy": [0.5, 0.8]}
    first, second = (history_chart(history, tmp_path / f"{i}.svg") for i in (1, 2))
    assert first == tmp_path / "1.svg"
    assert first.read_bytes() == second.read_bytes()
    assert first.read_text() == history_chart(history)


def test_history_has_a_panel_for_losses_and_one_for_each_metric():
    history = gn.History()
    history.add({"loss": 0.9, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.4, "mae": 30.0})
    history.add({"loss": 0.5, "accuracy": 0.8, "val_loss": 0.7, "val_accuracy": 0.7, "mae": 20.0})
    root, paths = drawn(history_chart(history))
    bold = [e.text for e in root.iter(f"{{{SVG}}}text") if e.get("font-weight") == "bold"]
    assert bold == ["loss", "accuracy", "mae"]
    assert len(paths) == 5
    assert texts(root).count("epoch") == 3
    root, _ = drawn(history_chart({}))
    assert "no values" in texts(root)


@pytest.mark.parametrize("name", EVIL, ids=range(len(EVIL)))
def test_evil_names_are_only_text(name):
    root, paths = drawn(gn.chart({name: [1, 2]}, title=name, x_label=name))
    assert len(paths) == 1
    allowed = {"svg", "title", "desc", "g", "rect", "path", "line", "circle", "text"}
    assert {element.tag.removeprefix(f"{{{SVG}}}") for element in root.iter()} <= allowed


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6))
def test_any_numbers_are_drawn_inside_the_picture(numbers):
    root, _ = drawn(gn.chart({"a": numbers}))
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{{{SVG}}}circle")]
    assert len(places) == sum(map(math.isfinite, numbers))
    assert all(0 <= x <= 520 and 0 <= y <= 300 for x, y in places)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_ticks_reach_over_the_range(a, b):
    low, high = min(a, b), max(a, b)
    marks = ticks(low, high)
    room = 1e-6 * max(abs(low), abs(high))
    assert marks[0] <= low + room
    assert marks[-1] >= high - room
    assert marks == sorted(marks)
    assert 2 <= len(marks) <= 21


def test_what_is_no_series_is_refused():
    with pytest.raises(gn.GraphError, match="'a' is not a sequence of numbers"):
        gn.chart({"a": 3})
    with pytest.raises(gn.GraphError, match="'a' has 3 numbers, x has 2"):
        gn.chart({"a": [1, 2, 3]}, x=[1, 2])
    with pytest.raises(gn.RenderError, match="cannot write"):
        gn.chart({"a": [1]}, "nowhere/at/all.svg")
