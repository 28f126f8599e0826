"""A graph as SVG: Graphviz's drawing, made clean, accessible and the same on every run."""

from __future__ import annotations

import hashlib
from xml.etree import ElementTree

from graphnn.ir.graph import Graph
from graphnn.ir.node import printable
from graphnn.view.dot import dot
from graphnn.view.layout import lay_out
from graphnn.view.subject import Subject, as_graph

SVG = "http://www.w3.org/2000/svg"
WIDTH = "max-width:100%"
_XLINK = "http://www.w3.org/1999/xlink"


class Svg(str):
    """SVG source; notebooks show it as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        # In a page the height must follow the width. Files do without, as some converters stumble over height:auto.
        return self.replace(f'style="{WIDTH}"', f'style="{WIDTH};height:auto"', 1)


def svg(what: Subject, *, expand: bool = False, timeout: float = 60) -> Svg:
    """The picture of a graph as SVG text.

    Parameters
    ----------
    what : a node, a list or dict of nodes, a `Graph`, or a module
    expand : open composites such as softmax
    timeout : seconds that the layout may take

    Raises
    ------
    RenderError
        If there is no Graphviz, it fails, or it runs out of time.
    """
    graph = as_graph(what)
    return clean(lay_out(dot(graph, expand=expand), "svg", timeout), _title(graph), _description(graph))


def clean(drawn: bytes, title: str, description: str) -> Svg:
    """Graphviz's SVG without version and links, with ids of its own, a role, a title and a description."""
    root = ElementTree.fromstring(drawn)  # drops the comments, which tell the version
    # Pictures on one web page share their ids, so each has its own prefix.
    prefix = "g" + hashlib.sha256(drawn).hexdigest()[:8]
    for group in list(root.iter(f"{{{SVG}}}g")):
        own = group.find(f"{{{SVG}}}title")
        name = own.text if own is not None and own.text else ""
        kind = group.get("class", "")
        if kind == "graph" and own is not None:
            group.remove(own)
        group.attrib.pop("id", None)
        if kind == "node":
            group.set("id", f"{prefix}-{name}")
        link = group.find(f"{{{SVG}}}g/{{{SVG}}}a")
        if link is not None and own is not None:
            # The tooltip of Graphviz is a link that leads nowhere; a title does the same without one.
            own.text = link.get(f"{{{_XLINK}}}title", name)
            wrapper = group.find(f"{{{SVG}}}g")
            if wrapper is not None:
                group.remove(wrapper)
            group.extend(list(link))
    heading = ElementTree.Element(f"{{{SVG}}}title", {"id": f"{prefix}-title"})
    heading.text = title
    about = ElementTree.Element(f"{{{SVG}}}desc", {"id": f"{prefix}-desc"})
    about.text = description
    root[:0] = [heading, about]
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    root.set("style", WIDTH)
    return serialize(root)


def serialize(root: ElementTree.Element) -> Svg:
    """An SVG element as text, one element a line."""
    ElementTree.register_namespace("", SVG)
    ElementTree.indent(root, " ")
    return Svg(ElementTree.tostring(root, encoding="unicode") + "\n")


def _title(graph: Graph) -> str:
    names = ", ".join(printable(node.label, 40) for node in graph.outputs[:3]) or "updates"
    return f"Computational graph of {names}"


def _description(graph: Graph) -> str:
    parts = [
        f"{len(found)} {word if len(found) != 1 else word[:-1]}"
        for word, found in (
            ("inputs", graph.inputs),
            ("parameters", graph.parameters),
            ("states", graph.states),
            ("updates", graph.updates),
        )
        if found
    ]
    backward = sum(node.origin is not None and node.origin.role == "reverse" for node in graph.nodes)
    if backward:
        parts.append(f"{backward} nodes of the reverse pass")
    return f"{len(graph.nodes)} nodes" + (f", among them {', '.join(parts)}." if parts else ".")
