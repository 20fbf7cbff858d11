"""As much SVG as the pictures take: a page, boxes that tell more when pointed at, and text that fits."""

from __future__ import annotations

from html import escape

CHARACTER = 5.9
"""Width of a character of the font below, in pixels; a little more than it has."""


def page(width: float, height: float, *parts: str) -> str:
    font = 'font-family="monospace" font-size="10"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {font}>'
    style = "<style>rect:hover{stroke:#000}text{pointer-events:none}</style>"
    return "\n".join((head, style, f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>', *parts, "</svg>\n"))


def box(x: float, y: float, width: float, height: float, colour: str, label: str, more: str) -> str:
    """A box with as much of its label as fits."""
    shape = (
        f'<rect x="{x:.2f}" y="{y:g}" width="{max(width, 0.4):.2f}" height="{height:g}" rx="1" fill="{colour}">'
        f"<title>{escape(more)}</title></rect>"
    )
    room = int((width - 4) / CHARACTER)
    return shape + (text(x + 2, y + height - 4, label[:room]) if room > 2 else "")


def text(x: float, y: float, content: str, *, colour: str = "#222", anchor: str = "start") -> str:
    return f'<text x="{x:.2f}" y="{y:g}" fill="{colour}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> str:
    return f'<line x1="{x1:.2f}" y1="{y1:g}" x2="{x2:.2f}" y2="{y2:g}" stroke="{colour}"/>'
