"""The elements that a message may become on the page, and that hostile text becomes no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioworker.orchestrator.web.markdown import ELEMENTS, MAX_CHARACTERS, markdown_tree, safe_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.orchestrator.web.markdown import Node

ALLOWED = ELEMENTS | {"a", "span", "code", "pre", "br", "hr"}
HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg onload=window.hit=1><script>window.hit=1</script></svg>",
    "</pre><script>window.hit=1</script>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<a href='javascript:window.hit=1'>x</a>",
    "[x](javascript:window.hit=1)",
    "[x](JaVaScRiPt:window.hit=1)",
    "[x](java\tscript:window.hit=1)",
    "[x](&#106;avascript:window.hit=1)",
    "[x](data:text/html,<script>window.hit=1</script>)",
    "[x](vbscript:msgbox)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/x)",
    "[x](/web/jobs)",
    "<javascript:window.hit=1>",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:window.hit=1)",
    '![x](x "onerror=window.hit=1")',
    "[x]: javascript:window.hit=1\n\n[x]",
    "```html\n</code></pre><script>window.hit=1</script>\n```",
    "| <script>window.hit=1</script> |\n|---|\n| <img src=x onerror=window.hit=1> |",
    "<style>*{display:none}</style><form action=//evil.example><input name=x>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hit=1>",
    "\u202e<script>\u0000window.hit=1</script>",
]


def elements(nodes: list[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for node in nodes:
        if not isinstance(node, str):
            name, attributes, *children = node
            assert isinstance(name, str)
            assert isinstance(attributes, dict)
            yield name, attributes
            yield from elements(children)


def text(nodes: list[Any]) -> str:
    return "".join(node if isinstance(node, str) else text(node[2:]) for node in nodes)


def assert_harmless(nodes: list[Node]) -> None:
    for name, attributes in elements(nodes):
        assert name in ALLOWED
        assert attributes.keys() <= ({"href"} if name == "a" else set())
        if name == "a":
            assert attributes["href"].lower().startswith(("http://", "https://", "http:", "https:", "mailto:"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_markup_becomes_no_element(hostile: str) -> None:
    assert_harmless(markdown_tree(hostile))
    assert_harmless(markdown_tree(f"> - {hostile}\n\n**{hostile}**"))


@given(st.text(alphabet="<>&*_`[]()!#|-\n\\:/ajscript\"'=", max_size=200))
def test_any_text_yields_only_allowed_elements(message: str) -> None:
    assert_harmless(markdown_tree(message))


def test_raw_html_is_shown_as_text() -> None:
    assert text(markdown_tree("a <b onclick=x>bold</b> claim")) == "a <b onclick=x>bold</b> claim"


def test_markdown_yields_its_elements() -> None:
    tree = markdown_tree("# Plan\n\n1. *read* `a.py`\n2. **write**\n\n```py\nx < 1\n```\n\n[docs](https://example.com)")
    names = [name for name, _ in elements(tree)]
    for name in ("h1", "ol", "li", "em", "code", "strong", "pre", "a"):
        assert name in names
    assert "x < 1" in text(tree)


def test_a_very_long_message_is_plain_text() -> None:
    assert [name for name, _ in elements(markdown_tree("*x* " * MAX_CHARACTERS))] == ["pre"]


@pytest.mark.parametrize("url", ["https://example.com/a?b#c", "http://127.0.0.1:3000", "mailto:a@example.com"])
def test_ordinary_links_are_kept(url: str) -> None:
    assert safe_link(url) == url


@pytest.mark.parametrize("url", ["", "x", "/x", "//x", "ftp://x", "javascript:x", "http://[", "https://x\ny"])
def test_other_links_are_removed(url: str) -> None:
    assert safe_link(url) is None
