"""Markdown of a model for the terminal, with Rich. Its text emits no control characters and hides no URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from markdown_it import MarkdownIt
from rich.markdown import CodeBlock, Heading, Markdown
from rich.padding import Padding
from rich.text import Text

from trioworker.protocol.control_characters import escape_line, escape_text

if TYPE_CHECKING:
    from markdown_it.token import Token
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import MarkdownElement

MAX_CHARACTERS = 20_000
"""Characters of a text that is parsed; a longer one is shown as it is. Parsing takes about 0.1 s for that many."""
MIN_WIDTH = 20
"""Columns that Markdown is laid out for at least."""
PROSE_WIDTH = 60
"""Characters after which a line break inside a paragraph is taken for wrapped prose, and the line is continued."""

# Raw HTML is text: `List<int>` would vanish otherwise.
_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def markdown_lines(text: str, console: Console, width: int) -> list[Text]:
    """The lines of a Markdown text in `width` columns, without blank lines at the ends."""
    if len(text) > MAX_CHARACTERS:
        return list(Text(escape_text(text.replace("\r\n", "\n")).strip("\n")).wrap(console, max(width, MIN_WIDTH)))
    options = console.options.update_width(max(width, MIN_WIDTH))
    lines: list[Text] = []
    for segments in console.render_lines(_SafeMarkdown(text), options, pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        # Rich puts two blank lines after some elements.
        if line.plain or (lines and lines[-1].plain):
            lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


class _LeftHeading(Heading):
    """Headings are on the left, so that they need no width."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.text.plain, style="bold underline" if self.tag in {"h1", "h2"} else "bold")


class _PlainCode(CodeBlock):
    """Code is indented and not highlighted: a lexer's regular expressions can take hours for a hostile text."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip(), style="cyan"), (0, 0, 0, 2))


class _SafeMarkdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }

    def __init__(self, text: str) -> None:
        # Without hyperlinks, a link's URL is shown after its text.
        super().__init__("", hyperlinks=False)
        self.parsed = [_safe(token) for token in _parser.parse(escape_text(text.replace("\r\n", "\n")))]


def _safe(token: Token) -> Token:
    """Escape what the parser decoded, such as `&#x202e;`."""
    token.content = (escape_text if token.type in {"fence", "code_block"} else escape_line)(token.content)
    token.info = escape_line(token.info)
    for name, value in token.attrs.items():
        token.attrs[name] = escape_line(value) if isinstance(value, str) else value
    if token.children:
        token.children = _inline([_safe(child) for child in token.children])
    return token


def _inline(tokens: list[Token]) -> list[Token]:
    """The tokens of a paragraph: images as text, line breaks kept, no URL twice."""
    kept: list[Token] = []
    length = 0
    for token in tokens:
        if token.type == "image":
            token.type, token.tag, token.children = "text", "", None
            token.content = f"{token.content or 'image'} ({token.attrs.get('src', '')})"
        elif token.type == "softbreak" and length < PROSE_WIDTH:
            token.type = "hardbreak"
        length = 0 if token.type in {"softbreak", "hardbreak"} else length + len(token.content)
        kept.append(token)
        if token.type == "link_close" and _shows_its_url(kept):
            # A link with its own URL as text is only that text.
            kept[-3:] = [kept[-2]]
    return kept


def _shows_its_url(tokens: list[Token]) -> bool:
    return len(tokens) > 2 and tokens[-3].type == "link_open" and tokens[-3].attrs.get("href") == tokens[-2].content
