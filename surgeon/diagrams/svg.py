"""The last touch on Graphviz's SVG: hatching, marks as shapes, fonts, what pointing at a card tells."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from surgeon.diagrams.text import escape, is_measured, width
from surgeon.diagrams.theme import FONT, GLYPHS, Theme

# An invisible area, where a label has one, and the text in it: see `labels.text_cell`.
_TEXT = re.compile(
    r'(?:<polygon fill="(?:none|transparent)" stroke="none" points="([^"]*)"/>\s*)?'
    r"<text ([^>]*)>([^<]*)</text>"
)
_TITLE = re.compile(r"<title>([^<]*)</title>")
_ATTRIBUTE = re.compile(r'([\w:-]+)="([^"]*)"')


def finish(svg: str, theme: Theme, tips: Mapping[str, str], title: str) -> str:
    """Return the SVG as it is shown and saved.

    Args:
        svg: What Graphviz wrote.
        theme: The colours of the picture.
        tips: What to tell about each id.
        title: What the whole picture shows, for readers of the page that do not see it.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = _TITLE.sub(lambda match: _tip(html.unescape(match.group(1)), tips), svg)
    svg = _outlined(_hatched(svg, theme), theme)
    svg = _TEXT.sub(_drawn, svg)
    head, body = svg.split(">", 1)
    defs = (
        f'<defs><pattern id="{_hatch(theme)}" width="5" height="5" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="5" height="5" fill="{theme.trainable}"/>'
        f'<rect width="1.6" height="5" fill="{theme.hatch}"/></pattern></defs>'
    )
    label = escape(title)
    return f'{head} role="img" aria-label="{label}">\n<title>{label}</title>\n{defs}{body}'


def with_ids(svg: str, prefix: str) -> str:
    """Return the SVG with each id, and each use of it, led by a prefix: several fit on one page."""
    return re.sub(r'(\bid="|\burl\(#)', rf"\g<1>{prefix}", svg)


def _tip(name: str, tips: Mapping[str, str]) -> str:
    return f"<title>{escape(tips[name])}</title>" if name in tips else ""


def _hatch(theme: Theme) -> str:
    return f"surgeon-hatch-{theme.name}"


def _hatched(svg: str, theme: Theme) -> str:
    """Hatch the areas that are trainable; letters keep the plain colour."""
    area = re.compile(rf'(<(?:polygon|path|rect) [^>]*?)fill="{theme.trainable}"', re.IGNORECASE)
    return area.sub(rf'\1fill="url(#{_hatch(theme)})"', svg)


def _outlined(svg: str, theme: Theme) -> str:
    """Outline the areas of state: the palest of the fills, and on paper close to none."""
    area = re.compile(
        rf'(<polygon fill="(?:{theme.state}|{theme.still})") stroke="(?:none|transparent)"', re.IGNORECASE
    )
    return area.sub(rf'\1 stroke="{theme.border}" stroke-width="0.8"', svg)


def _drawn(match: re.Match[str]) -> str:
    """Return a text in fonts that there are, as wide as it was planned, or as the shape of a mark."""
    area, attributes, content = match.groups()
    values = dict(_ATTRIBUTE.findall(attributes))
    text = html.unescape(content)
    size = float(values["font-size"])
    fill = values.get("fill", "black")
    x, y = _baseline(area, size) if area else (float(values["x"]), float(values["y"]))
    if text in _SHAPES:
        return _mark(text, x, y, size, fill)
    bold = values.get("font-weight") == "bold"
    # Another font than the planned one is squeezed to fit; a text in an unknown script is left alone.
    fixed = (
        f' textLength="{width(text, size, bold):.2f}" lengthAdjust="spacingAndGlyphs"'
        if text.strip() and is_measured(text)
        else ""
    )
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text xml:space="preserve" x="{x:g}" y="{y:g}" font-family="{FONT}"{weight} '
        f'font-size="{size:g}" fill="{fill}"{fixed}>{content}</text>'
    )


def _baseline(area: str, size: float) -> tuple[float, float]:
    """Return where a text begins that is centred between top and bottom of an area."""
    corners = [tuple(map(float, corner.split(","))) for corner in area.split()]
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    # Capital letters of the planned font are 0.72 of its size high.
    return min(x for x, _ in corners), round((top + bottom) / 2 + 0.36 * size, 2)


# In a square of 100 × 100, from the baseline up: fonts often lack these marks, or draw boxes for them.
_SHAPES = {
    GLYPHS["frozen"]: '<path d="M0 0H78V-78H0Z"/>',
    GLYPHS["trainable"]: '<path d="M-5 0H87L41 -84Z"/>',
    GLYPHS["still"]: '<circle cx="40" cy="-38" r="39"/>',
    GLYPHS["state"]: '<circle cx="40" cy="-38" r="35" fill="none" stroke="{fill}" stroke-width="9"/>',
    GLYPHS[
        "partial"
    ]: '<path d="M0 0H78V-78H0Z" fill="none" stroke="{fill}" stroke-width="9"/><path d="M0 0H39V-78H0Z"/>',
}


def _mark(glyph: str, x: float, y: float, size: float, fill: str) -> str:
    shape = _SHAPES[glyph].replace("{fill}", fill)
    scale = size / 100
    return f'<g transform="translate({x:g} {y:g}) scale({scale:g})" fill="{fill}">{shape}</g>'
