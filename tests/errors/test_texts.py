"""Error messages are tested as text: every mistake of ``mistakes.txt`` gets exactly the message that stands there."""

import linecache
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import GraphError, GraphnnError, Operand, layout, listing, nearest

_BLOCK = re.compile(
    r"^=== (?P<title>.+)\n(?P<program>(?:.*\n)+?)---\n(?P<message>(?:.*\n)+?)(?=\n?\Z|\n=== )", re.MULTILINE
)
TEXT = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8")
MISTAKES = [match.groupdict() for match in _BLOCK.finditer(TEXT)]
TITLES = [mistake["title"] for mistake in MISTAKES]


def run(program):
    """Run a program as if it were the file model.py, so that messages show its lines; gives the error."""
    linecache.cache["model.py"] = (len(program), None, program.splitlines(keepends=True), "model.py")
    try:
        exec(compile(program, "model.py", "exec"), {"gn": gn, "np": np, "__name__": "model"})
    except Exception as error:
        return error
    finally:
        del linecache.cache["model.py"]
    return None


def test_all_mistakes_are_read():
    assert len(MISTAKES) == TEXT.count("\n=== ") >= 100
    assert len(set(TITLES)) == len(TITLES)


@pytest.mark.parametrize("mistake", MISTAKES, ids=TITLES)
def test_the_whole_message(mistake):
    error = run(mistake["program"])
    assert f"{type(error).__name__}: {error}" == mistake["message"].rstrip("\n")


@pytest.mark.parametrize("mistake", MISTAKES, ids=TITLES)
def test_every_message_can_be_understood_and_says_what_to_do(mistake):
    error = run(mistake["program"])
    if not isinstance(error, GraphnnError):
        assert isinstance(error, (TypeError, AttributeError))
        return
    assert 10 < len(error.headline) < 150
    assert "\n" not in error.headline
    assert not error.headline.endswith(".")
    assert any(error.hints), "it does not tell how to mend it"
    # No word of the inside of the library, and no address of an object.
    assert not re.search(r"Placeholder\(|Spec\(|<graphnn|0x[0-9a-f]{6}|site-packages", str(error))
    if error.operands:
        assert all(row.spec and row.kind for row in error.operands)


# --- the layout that all share ---


def test_layout():
    assert layout("what is wrong") == "what is wrong"
    assert layout("what is wrong", hints=["", "how to mend it"]) == "what is wrong\n\n  how to mend it"
    rows = [
        Operand("left", "x", "float32[2]", "placeholder", "m.py:1"),
        Operand("right", "weight", "int8[]", "add", ""),
    ]
    assert layout("wrong", rows, "m.py:3    y = x", ["Cast it."]) == (
        "wrong\n\n"
        "  left    x        float32[2]   placeholder   m.py:1\n"
        "  right   weight   int8[]       add\n\n"
        "  at m.py:3    y = x\n"
        "  Cast it."
    )


def test_errors_belong_to_the_families_of_python():
    for kind, family in (
        (gn.ShapeError, ValueError),
        (gn.DTypeError, TypeError),
        (gn.GraphError, ValueError),
        (gn.NodeUseError, TypeError),
        (gn.DifferentiationError, ValueError),
        (gn.LoweringError, NotImplementedError),
        (gn.ExecutionError, RuntimeError),
        (gn.IndexRangeError, IndexError),
        (gn.UnknownNameError, AttributeError),
    ):
        assert issubclass(kind, family)
        assert issubclass(kind, gn.GraphnnError)


def test_names_in_messages():
    assert listing(["a", "b"]) == "'a', 'b'"
    assert listing(map(str, range(10)), limit=3) == "'0', '1', '2' and 7 more"
    assert nearest("lables", ["labels", "x"]) == "Did you mean 'labels'?"
    assert nearest("q", ["labels", "x"]) == ""


def test_a_message_with_many_operands_is_cut():
    nodes = [gn.placeholder(f"x{i}", (i + 1, 2)) for i in range(20)]
    with pytest.raises(gn.ShapeError) as caught:
        gn.concat(nodes, axis=1)
    assert len(caught.value.operands) == 8


def test_names_with_line_breaks_stay_on_one_line():
    x, y = gn.placeholder("a\nb", (2,)), gn.placeholder("\x1b[31m", (3,))
    with pytest.raises(gn.ShapeError) as caught:
        x + y
    assert [row.name for row in caught.value.operands] == ["a\\nb", "\\x1b[31m"]


def test_an_error_can_be_raised_again_and_printed_in_parts():
    error = GraphError("wrong", "Do this.", at="m.py:1")
    assert (error.headline, error.hints, error.at) == ("wrong", ("Do this.",), "m.py:1")
    assert error.args == ("wrong", "Do this.")


def test_errors_travel_between_processes():
    x = gn.placeholder("x", (3,))
    with pytest.raises(gn.ShapeError) as caught:
        x + gn.placeholder("y", (4,))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert type(copy) is gn.ShapeError


def test_errors_do_not_chain_what_the_user_does_not_need():
    x = gn.placeholder("x", (3,))
    with pytest.raises(gn.ShapeError) as caught:
        x + gn.placeholder("y", (4,))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
