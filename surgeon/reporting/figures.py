"""Figures of matplotlib as parts of a page that lets no style but its own in."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from surgeon.diagrams import with_ids
from surgeon.diagrams.text import escape
from surgeon.errors import RenderError

_STYLE = re.compile(r' style="([^"]*)"')
_LEFT_OUT = re.compile(r"<(metadata|style)\b.*?</\1>\s*", re.DOTALL)


def plots_section(plots: Mapping[str, Any]) -> str:
    """Return the figures, each with its name below.

    Args:
        plots: A `matplotlib.figure.Figure` for each name, as `plot_mask` and its like return.

    Raises:
        RenderError: If something else is among them.
    """
    parts = []
    for number, (name, figure) in enumerate(plots.items()):
        if not hasattr(figure, "savefig"):
            raise RenderError(
                f"plots={{{name!r}: …}} is a {type(figure).__name__}, not a figure: "
                "give what surgeon.plot_depth and its like return"
            )
        svg = _embedded(figure, f"plot-{number}-", name)
        parts.append(f'<figure class="plot">{svg}<figcaption>{escape(name)}</figcaption></figure>')
    return "".join(parts)


def _embedded(figure: Any, prefix: str, name: str) -> str:
    """Return a figure as SVG whose looks are attributes: the page's policy refuses `style`."""
    import matplotlib as mpl

    file = io.StringIO()
    # Letters as shapes: they need no font. A fixed salt and no date: the same figure, the same bytes.
    with mpl.rc_context({"svg.hashsalt": "surgeon", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    svg = _LEFT_OUT.sub("", text[text.index("<svg") :])
    svg = _STYLE.sub(_attributes, svg).replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    svg = with_ids(svg.replace("xlink:href=", "href="), prefix).replace('href="#', f'href="#{prefix}')
    # What matplotlib's own style sheet says of every element.
    look = 'stroke-linejoin="round" stroke-linecap="butt"'
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(name)}" {look} ', 1)


def _attributes(match: re.Match[str]) -> str:
    rules = (rule.partition(":") for rule in match[1].split(";") if rule.strip())
    return "".join(f' {key.strip()}="{value.strip()}"' for key, _, value in rules)
