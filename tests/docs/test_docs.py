"""The documentation is true: every Python block in README.md and docs/*.md runs and prints what the text says.

The blocks of a file run in order, in one namespace and an empty folder. What a block prints is compared

- with the ```text block that follows it directly,
- with ``# prints: ...`` at the end of a statement or in the line under it,
- with what stands under ``>>>``, as in a doctest;

``...`` stands for anything, and the amount of white space does not count.
"""

import ast
import contextlib
import doctest
import io
import linecache
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))) if path.exists()]
PAGES = sorted({*RUN, *ROOT.glob("*.md")})
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$\n?", re.MULTILINE | re.DOTALL)
PRINTS = re.compile(r"#\s*prints:\s*(.*?)\s*$")


class Block(NamedTuple):
    line: int  # of the file, where its code begins
    code: str
    expected: str | None  # of the text block under it


def blocks(text):
    """The Python blocks of a page, each with what it should print, if that is told."""
    found = list(FENCE.finditer(text))
    for i, match in enumerate(found):
        if match[1] == "python":
            following = found[i + 1] if i + 1 < len(found) else None
            directly = following and following[1] == "text" and not text[match.end() : following.start()].strip()
            yield Block(text.count("\n", 0, match.start(2)) + 1, match[2], following[2] if directly else None)


def same(expected, got):
    return doctest.OutputChecker().check_output(expected.strip() + "\n", got.strip() + "\n", FLAGS)


def check(where, expected, got):
    assert same(expected, got), f"{where} should print\n{expected}\nbut prints\n{got}"


def run_block(block, file, names):
    if ">>>" in block.code:
        test = doctest.DocTestParser().get_doctest(block.code, names, file, file, block.line - 1)
        report = io.StringIO()
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.write, clear_globs=False)
        names.update(test.globs)
        assert result.failed == 0, report.getvalue()
        return
    code = "\n" * (block.line - 1) + block.code  # so that errors and nodes tell the line of the page
    lines = code.splitlines()
    told = {i: found[1] for i, line in enumerate(lines, 1) if (found := PRINTS.search(line))}
    everything = ""
    for statement in ast.parse(code, file).body:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(ast.Module([statement], []), file, "exec"), names)
        everything += output.getvalue()
        end = statement.end_lineno
        after = end + 1 if end < len(lines) and lines[end].lstrip().startswith("#") else end
        for line in (end, after):
            if line in told:
                check(f"{file}:{line}", told.pop(line), output.getvalue())
    assert not told, f"{file}: no statement belongs to '# prints:' in line {min(told)}"
    if block.expected is not None:
        check(f"the block at {file}:{block.line}", block.expected, everything)


def run_page(path):
    """Run all blocks of a page; their number."""
    names = {"__name__": "__main__"}
    text = path.read_text(encoding="utf-8")
    found = list(blocks(text))
    # Nodes and errors quote the line of the program; here it stands in the page.
    linecache.cache[path.name] = (len(text), None, text.splitlines(keepends=True), path.name)
    try:
        for block in found:
            run_block(block, path.name, names)
    finally:
        del linecache.cache[path.name]
    return len(found)


@pytest.mark.parametrize("path", RUN, ids=[str(path.relative_to(ROOT)) for path in RUN])
def test_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    count = run_page(path)
    if path.name in ("README.md", "tutorial.md"):
        assert count >= 2


@pytest.mark.parametrize("path", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)]
    assert [link for link in links if not (path.parent / link.partition("#")[0]).exists()] == []


# The runner itself: a page that is not true must fail.

PAGE = """
Text.

```python
a = 20
print(a)      # prints: 20
print(a + 1)
# prints: 2...
```

```text
20
21
```

```python
>>> a * 2
40
```

```console
not python at all
```
"""


def page(tmp_path, old="", new=""):
    assert old in PAGE
    path = tmp_path / "page.md"
    path.write_text(PAGE.replace(old, new, 1) if old else PAGE, encoding="utf-8")
    return path


def test_runner_accepts_a_true_page(tmp_path):
    assert run_page(page(tmp_path)) == 2


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("prints: 20", "prints: 21", "page.md:6 should print"),
        ("prints: 2...", "prints: 3...", "page.md:8 should print"),
        ("20\n21\n", "20\n22\n", "the block at page.md:5 should print"),
        (">>> a * 2\n40", ">>> a * 2\n41", "Expected"),
        ("a = 20", "a = 20\n# prints: 1\n", "should print"),
        ("a = 20\n", "# prints: 1\n\na = 20\n", "no statement belongs"),
    ],
)
def test_runner_refuses_a_page_that_is_not_true(tmp_path, old, new, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        run_page(page(tmp_path, old, new))


def test_runner_tells_the_line_of_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        run_page(page(tmp_path, "a = 20", "a = 1 / 0"))
    assert (Path(caught.traceback[-1].path).name, caught.traceback[-1].lineno + 1) == ("page.md", 5)
