import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from view_helpers import evil_graph, network

import graphnn as gn
from graphnn import nn
from graphnn.view import layout
from graphnn.view.dot import dot
from graphnn.view.layout import lay_out
from graphnn.view.notebook import mimebundle
from graphnn.view.svg import SVG, svg

PROGRAM = """
import hashlib, sys
import numpy as np
import graphnn as gn
from graphnn.view.dot import dot

x = gn.placeholder("x", ("batch", 4))
w = gn.parameter("w", np.ones((4, 3), "float32"))
with gn.scope("layer"):
    loss = gn.mean(gn.softmax(x @ w)).named("loss")
f = gn.function([x], loss, updates={w: w - gn.grad(loss, w)})
for kind in ("dot", "svg", "png"):
    print(hashlib.sha256(gn.render(f, sys.argv[1] + "." + kind).read_bytes()).hexdigest())
"""


@pytest.fixture
def no_graphviz(monkeypatch):
    monkeypatch.setattr(layout.shutil, "which", lambda name: None)
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def dot_program(monkeypatch, tmp_path):
    """Puts a program `dot` that runs some Python lines on the PATH."""

    def install(lines):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "dot"
        program.write_text(f"#!{sys.executable}\nimport os, sys, time\n{lines}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install


def test_formats_by_ending(tmp_path):
    loss, _ = network()
    begins = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}
    for kind, begin in begins.items():
        path = gn.render(loss, tmp_path / f"loss.{kind}")
        assert path == tmp_path / f"loss.{kind}"
        assert path.read_bytes().startswith(begin)
    assert gn.render(loss, str(tmp_path / "picture"), format="SVG").read_text().startswith("<svg")
    assert (tmp_path / "loss.dot").read_text() == dot(loss)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loss.dot", "loss.pdf", "loss.png", "loss.svg", "picture"]


def test_what_can_be_rendered(tmp_path):
    x = gn.placeholder("x", ("batch", 3))
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    for what in (x, model, gn.Graph(x), [gn.sin(x), gn.cos(x)], {"y": gn.sin(x)}, gn.function([x], gn.sin(x))):
        assert "digraph" in gn.render(what, tmp_path / "any.dot").read_text()


def test_same_graph_same_bytes_in_fresh_processes(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    found = []
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = [sys.executable, str(script), str(tmp_path / seed)]
        found.append(subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout)
    assert found[0] == found[1]
    assert len(set(found[0].split())) == 3


def test_a_pdf_does_not_hold_the_time(tmp_path):
    drawn = []
    for _ in range(2):
        drawn.append(gn.render(network()[0], tmp_path / "loss.pdf").read_bytes())
        time.sleep(1.1)
    assert drawn[0] == drawn[1]


def test_svg_is_clean_and_accessible():
    loss, _ = network()
    text = svg(loss)
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert title.text == "Computational graph of loss"
    assert description.text == "12 nodes, among them 2 inputs, 3 parameters."
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("viewBox")
    assert root.get("style") == "max-width:100%"
    for noise in ("version", "<!", "xlink", "ns0:", "<a "):
        assert noise not in text
    nodes = [group for group in root.iter(f"{{{SVG}}}g") if group.get("class") == "node"]
    assert len(nodes) == 12
    assert all(group.find(f"{{{SVG}}}title").text.startswith("Node ") for group in nodes)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) == 14
    assert text._repr_svg_().count("height:auto") == 1


def test_pictures_on_one_page_do_not_share_ids():
    x = gn.placeholder("x")
    one, two = (ElementTree.fromstring(svg(node)) for node in (gn.sin(x), gn.cos(x)))
    assert not {e.get("id") for e in one.iter()} & {e.get("id") for e in two.iter()} - {None}


def test_evil_names_reach_the_picture_as_text():
    graph = evil_graph()
    root = ElementTree.fromstring(svg(graph))
    shown = "".join(root.itertext())
    assert '"quoted"' in shown
    assert "<<table><tr><td>" in shown
    assert "& &lt; &#65;" in shown
    assert "back\\slash and \\N and \\l" in shown
    assert "naïve 重み 🤖 γ" in shown
    assert "<script>alert(1)</script>" in shown
    allowed = {"svg", "title", "desc", "g", "polygon", "polyline", "path", "ellipse", "text"}
    assert {element.tag.removeprefix(f"{{{SVG}}}") for element in root.iter()} <= allowed


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_without_graphviz_the_error_tells_how_to_get_it(no_graphviz, tmp_path, kind):
    with pytest.raises(gn.RenderError) as error:
        gn.render(gn.placeholder("x"), tmp_path / f"x.{kind}")
    assert str(error.value) == "\n".join(
        [
            f"drawing {kind} needs Graphviz, and neither a dot program nor the package pygraphviz is there",
            "",
            "  Install one: pip install pygraphviz (it brings Graphviz along), or Graphviz itself from graphviz.org.",
            "  A .dot file needs neither: gn.render(node, 'graph.dot').",
        ]
    )
    assert list(tmp_path.iterdir()) == []


def test_without_graphviz_dot_files_and_displays_still_work(no_graphviz, tmp_path):
    x = gn.placeholder("x")
    assert gn.render(x, tmp_path / "x.dot").exists()
    assert set(mimebundle(gn.Graph(gn.sin(x)))) == {"text/plain"}


def test_the_dot_program_is_used_where_there_is_one(dot_program):
    dot_program("sys.stdin.read(); sys.stdout.write('drawn by ' + ' '.join(sys.argv[1:]))")
    assert layout.find_engine() == "dot"
    assert lay_out("digraph {}", "png", 20) == b"drawn by -Kdot -Tpng"


def test_a_failing_layout_is_an_error(dot_program, tmp_path):
    dot_program("sys.stderr.write('maze.c: assertion failed\\n'); sys.exit(3)")
    with pytest.raises(gn.RenderError, match=r"Graphviz \(dot\) could not draw the graph.*maze\.c") as error:
        gn.render(gn.placeholder("x"), tmp_path / "x.png")
    assert "gn.render(node, 'graph.dot')" in str(error.value)
    assert not (tmp_path / "x.png").exists()


def test_a_crash_of_the_layout_is_an_error(monkeypatch, tmp_path):
    script = tmp_path / "crash.py"
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(layout, "_SCRIPT", script)
    with pytest.raises(gn.RenderError, match="could not draw the graph: it ended with code -11"):
        gn.render(gn.placeholder("x"), tmp_path / "x.svg")


def test_a_python_that_cannot_be_started(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(gn.RenderError, match="'/nowhere/python' cannot be started"):
        gn.render(gn.placeholder("x"), tmp_path / "x.svg")


def test_the_time_limit_ends_the_layout_and_its_children(dot_program, tmp_path):
    alive = tmp_path / "alive"
    dot_program(f"time.sleep(4); open({str(alive)!r}, 'w').close()")
    target = tmp_path / "x.svg"
    target.write_text("the old picture")
    with pytest.raises(gn.RenderError, match="the layout of the graph took longer than 1 seconds") as error:
        gn.render(gn.placeholder("x"), target, timeout=1)
    assert "timeout=600" in str(error.value)
    assert target.read_text() == "the old picture"
    time.sleep(4)
    assert not alive.exists(), "the dot program was left running"


@pytest.mark.parametrize(("path", "text"), [("x", "has no ending"), ("x.jpg", "unknown picture format 'jpg'")])
def test_unknown_formats(tmp_path, path, text):
    with pytest.raises(gn.RenderError, match=text) as error:
        gn.render(gn.placeholder("x"), tmp_path / path)
    assert ".svg, .png, .pdf or .dot" in str(error.value)


def test_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(gn.RenderError, match="cannot write"):
        gn.render(gn.placeholder("x"), tmp_path / "nowhere" / "x.dot")
    (tmp_path / "folder.dot").mkdir()
    with pytest.raises(gn.RenderError, match="cannot write"):
        gn.render(gn.placeholder("x"), tmp_path / "folder.dot")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.dot"]


def test_a_training_step_of_forty_layers_is_drawn_in_time(tmp_path):
    h, parameters = gn.placeholder("x", ("batch", 8)), []
    for i in range(40):
        w = gn.parameter(f"w{i}", np.ones((8, 8), "float32"))
        parameters.append(w)
        with gn.scope(f"layer {i}"):
            h = gn.tanh(h @ w)
    loss = gn.mean(h)
    path = gn.render([loss, *gn.grad(loss, parameters)], tmp_path / "deep.svg", timeout=40)
    assert path.stat().st_size > 100_000


def test_notebooks_get_text_algebra_and_pictures():
    x = gn.placeholder("x")
    node = gn.sin(x).named("y")
    assert mimebundle(node) == {
        "text/plain": "y = sin(x): float32[]",
        "text/latex": "$\\displaystyle \\begin{aligned}\ny &= \\sin\\left(x\\right)\n\\end{aligned}$",
    }
    assert node._repr_mimebundle_() == mimebundle(node)
    bundle = gn.Graph(node)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/svg+xml"}
    assert "height:auto" in bundle["image/svg+xml"]
    assert set(mimebundle(gn.Graph(node), include=["text/plain"])) == {"text/plain"}
    assert set(mimebundle(gn.Graph(node), exclude={"image/svg+xml"})) == {"text/plain"}


def test_notebooks_get_text_only_of_what_is_large():
    node = gn.placeholder("x")
    for _ in range(50_000):
        node = gn.sin(node)
    assert set(mimebundle(node)) == {"text/plain"}
    assert set(mimebundle(gn.Graph(node))) == {"text/plain"}


def test_displays_never_raise(monkeypatch):
    graph = evil_graph()
    for node in graph.nodes:
        assert mimebundle(node)["text/plain"] == repr(node)
    monkeypatch.setattr(layout, "_SCRIPT", Path("/nowhere/at/all.py"))
    assert set(mimebundle(graph)) == {"text/plain"}


def test_pictures_do_not_depend_on_what_was_drawn_before():
    loss, _ = network()
    first = hashlib.sha256(svg(loss).encode()).hexdigest()
    svg(gn.sin(gn.placeholder("other")))
    assert hashlib.sha256(svg(loss).encode()).hexdigest() == first
