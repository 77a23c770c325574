"""The static checks of pages and scripts: what they find, what they leave alone, and that nothing makes them crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.page import MAX_BYTES, blockers, check
from agents.script import read_script

GOOD = (
    '<!doctype html><html lang="en"><head><title>Timer</title><meta name="viewport" content="width=device-width">'
    "<style>{css}</style></head><body><h1>Timer</h1>{body}<script>{js}</script></body></html>"
)


def page(*, css: str = "", body: str = "", js: str = "") -> str:
    return GOOD.format(css=css, body=body, js=js)


def codes(source: str, todo: str | None = None) -> list[str]:
    return [finding.code for finding in check(source, todo=todo)]


@pytest.mark.parametrize(
    "source",
    [
        page(),
        page(body='<label for="a">A</label><input id="a"><label>B <select></select></label><input aria-label="c">'),
        page(body='<input type="hidden"><input type="submit"><img alt="" src="data:image/gif;base64,R0lGOD">'),
        page(body='<a href="#part">part</a><a href="mailto:a@b.example">mail</a>'),
        page(js='const s = "http://www.w3.org/2000/svg"; // fetch("x")\nconst t = `fetch(${s})`;'),
        page(css=".a { background: url(data:image/png;base64,AAAA) } /* @import 'x' */"),
    ],
)
def test_good_pages_have_no_findings(source: str) -> None:
    assert check(source) == ()


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("plain text", "html"),
        ("", "html"),
        ("x" * (MAX_BYTES + 1), "size"),
        (page(body='<img alt="" src="https://x.example/a.png">'), "self-contained"),
        (page(body='<img alt="" src="//x.example/a.png">'), "self-contained"),
        (page(body='<link rel="stylesheet" href="style.css">'), "self-contained"),
        (page(body='<script src="app.js"></script>'), "self-contained"),
        (page(body="<iframe></iframe>"), "self-contained"),
        (page(body='<meta http-equiv="refresh" content="1;url=/x">'), "self-contained"),
        (page(css="@import 'x.css';"), "self-contained"),
        (page(css="a { background: url( 'https://x.example' ) }"), "self-contained"),
        (page(body='<p style="background:url(//x.example)">x</p>'), "self-contained"),
        (page(js="await fetch (u)"), "network"),
        (page(js="new XMLHttpRequest()"), "network"),
        (page(js="new WebSocket(u)"), "network"),
        (page(js="navigator.sendBeacon(u)"), "network"),
        (page(js="import('x')"), "network"),
        (page(js="import a from 'x'"), "network"),
        (page(js="import 'x'"), "network"),
        (page(js="const x = `${fetch(u)}`"), "network"),
        (page(js="if (a { }"), "script-syntax"),
        (page(js='let a = "x\n'), "script-syntax"),
        (page(js="let a = `x"), "script-syntax"),
        (page(js="/* never"), "script-syntax"),
    ],
)
def test_what_blocks_a_page(source: str, code: str) -> None:
    assert code in [finding.code for finding in blockers(source)]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (page().replace("<title>Timer</title>", ""), "title"),
        (page().replace(' lang="en"', ""), "lang"),
        (page(body='<input id="a">'), "input-label"),
        (page(body='<label for="b">B</label><textarea id="a"></textarea>'), "input-label"),
        (page(js="localStorage.x = 1"), "storage"),
        (page(body="<form></form>"), "form"),
        (page().replace("h1", "h2"), "heading"),
        (page(body='<img src="data:,">'), "image-alt"),
    ],
)
def test_what_a_reviewer_would_say(source: str, code: str) -> None:
    assert codes(source) == [code]
    assert blockers(source) == ()


def test_the_words_of_the_todo() -> None:
    todo = "Count the finished rounds of the evening"
    assert codes(page(body="<p>Rounds this evening</p>"), todo) == []
    assert codes(page(), todo) == ["todo-words"]
    assert codes(page(), "Do it") == []


@pytest.mark.parametrize(
    "script",
    [
        "const a = /[/\"'`]/g, b = 4 / 2 / 1;",
        "return /x'/.test(y)",
        "const t = `a ${ {b: `c ${d} }`}.b } e`;",
        "'it\\'s' + \"a\\\"b\" // don't",
        "x = a ? /* ' */ b : c",
        "const f = () => ({ a: [1, 2, { b: 3 }] });",
    ],
)
def test_scripts_that_are_fine(script: str) -> None:
    assert read_script(script).problem is None


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("\n\nfoo(]", "line 3: ']' closes nothing"),
        ("f(() => {", "line 1: '{' is never closed"),
        ("}", "line 1: '}' closes nothing"),
        ("`${a", "line 1: '{' is never closed"),
        ("a\n'b", "line 2: a string is never closed"),
    ],
)
def test_scripts_that_can_never_run(script: str, problem: str) -> None:
    assert read_script(script).problem == problem


PIECES = [
    "<",
    ">",
    "</",
    "<!",
    "<![",
    "<!--",
    "-->",
    "<?",
    "script",
    "<script>",
    "</script>",
    "<title>",
    "<style>",
    "html",
    "&#",
    '"',
    "'",
    "=",
    "`",
    "${",
    "}",
    "/",
    "/*",
    "(",
]
html_like = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join)


@given(html_like | st.text(max_size=200))
def test_checks_never_crash(text: str) -> None:
    for finding in check(f"<html>{text}", todo=text):
        assert finding.text


@given(html_like | st.text(max_size=200))
def test_the_script_reader_never_crashes(text: str) -> None:
    read_script(text)


def test_a_repair_is_not_looked_for_in_the_words_of_the_page() -> None:
    todo = "Repair: v3:lang:1 the html element lacks an attribute called language"
    page = '<!doctype html><html lang="en"><head><title>t</title></head><body><h1>t</h1></body></html>'
    assert "todo-words" in {finding.code for finding in check(page, todo=todo.replace("v3:lang:1", ""))}
    assert "todo-words" not in {finding.code for finding in check(page, todo=todo)}
