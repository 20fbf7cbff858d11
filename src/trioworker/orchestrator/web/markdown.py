"""Markdown as a tree of a few allowed elements, from which the page builds its DOM.

No HTML is generated: text of a model or tool stays text until the page creates elements by name, so it can't inject
markup. Raw HTML in a message is shown as text. Links lead only to http, https and mailto. An image becomes a link,
since loading it would disclose the viewer's address to its server.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

Node = str | list[Any]
"""Text, or an element: its name, its attributes, its children."""

MAX_CHARACTERS = 20_000
"""Characters of a message that is parsed. A longer one is shown as plain text; a worker sends at most 2,000 bytes."""
CACHED_MESSAGES = 512
SCHEMES = {"http", "https", "mailto"}
ELEMENTS = {
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "em", "strong", "s"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}

# The parser is stateless. Its `linkify` would need another library.
_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@lru_cache(CACHED_MESSAGES)
def markdown_tree(text: str) -> list[Node]:
    """The nodes of a message."""
    if len(text) > MAX_CHARACTERS:
        return [["pre", {}, text]]
    return _nodes(_parser.parse(text))


def safe_link(url: str) -> str | None:
    """`url` if it is absolute and its scheme can't run code, otherwise None."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        return None
    return url if scheme in SCHEMES and url.isprintable() else None


def _nodes(tokens: Sequence[Token]) -> list[Node]:
    root: list[Node] = []
    # The child lists of the open elements, innermost last.
    open_lists: list[list[Any]] = [root]
    for token in tokens:
        if token.nesting == 1:
            element = _element(token)
            open_lists[-1].append(element)
            open_lists.append(element)
        elif token.nesting == -1:
            open_lists.pop()
        elif token.type == "inline":
            open_lists[-1].extend(_nodes(token.children or ()))
        else:
            open_lists[-1].append(_leaf(token))
    return root


def _element(token: Token) -> list[Any]:
    if token.type == "link_open":
        link = safe_link(str(token.attrs.get("href", "")))
        return ["span", {}] if link is None else ["a", {"href": link}]
    # Paragraphs of a tight list are marked as hidden.
    name = token.tag if token.tag in ELEMENTS and not token.hidden else "span"
    return [name, {}]


def _leaf(token: Token) -> Node:
    match token.type:
        case "text":
            return token.content
        case "softbreak":
            return "\n"
        case "hardbreak" | "hr":
            return [token.tag, {}]
        case "code_inline":
            return ["code", {}, token.content]
        case "fence" | "code_block":
            return ["pre", {}, ["code", {}, token.content]]
        case "image":
            source = safe_link(str(token.attrs.get("src", "")))
            name = token.content or "picture"
            return f"[{name}]" if source is None else ["a", {"href": source}, f"[{name}]"]
        case _:
            return token.content
