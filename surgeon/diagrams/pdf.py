"""SVG to PDF, with its hatching and its font in it.

Graphviz could write PDF itself, but knows no hatching, and takes the fonts of the machine.
"""

from __future__ import annotations

from surgeon.diagrams.fonts import font_file, is_covered
from surgeon.diagrams.text import clean
from surgeon.errors import RenderError

# A page as large as the picture. Names of models are data: they never stand in this text.
_PAGE = """#set document(title: sys.inputs.title)
#set page(width: auto, height: auto, margin: 0pt)
#image("picture.svg")"""


def to_pdf(svg: str, title: str) -> bytes:
    """Return the SVG as PDF of one page, the same bytes each time.

    Args:
        svg: The picture.
        title: What viewers show as the name of the document.

    Raises:
        RenderError: If a package is missing, or the picture cannot be drawn.
    """
    try:
        import typst
    except ImportError as error:
        raise RenderError("PDF needs typst: `pip install typst`, or save as .svg") from error
    try:
        return bytes(
            typst.compile(  # type: ignore[call-overload]  # its types know no files in memory
                {"main.typ": _PAGE.encode(), "picture.svg": svg.encode()},
                format="pdf",
                sys_inputs={"title": clean(title)},
                font_paths=[str(font_file("PDF").parent)],
                ignore_system_fonts=is_covered(svg),
                timestamp=0,
            )
        )
    except RuntimeError as error:
        raise RenderError(f"the picture cannot be drawn as PDF ({error}); save it as .svg") from error
