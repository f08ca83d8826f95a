"""A picture as a value."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

from surgeon.diagrams.layout import lay_out
from surgeon.diagrams.pdf import to_pdf
from surgeon.diagrams.png import rasterize
from surgeon.diagrams.svg import finish, with_ids
from surgeon.diagrams.theme import Theme
from surgeon.errors import RenderError, near_misses

_SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".gv")


@dataclass(frozen=True)
class Drawing:
    """A diagram of one model, or of two. Made by `draw` and `draw_change`.

    Nothing is laid out before the picture is asked for. In a notebook it shows itself.

    Attributes:
        title: What the picture shows.
        dot: The picture in DOT, Graphviz's language.
        text: The same as a tree of text.
        theme: Its colours.
        tips: What pointing at each card tells, by id.
        members: The calls that each card stands for, by id; keys led by those of the nested models
            around them.

    Example:
        >>> from surgeon.diagrams import draw
        >>> from surgeon.graph import ModelGraph
        >>> drawing = draw(ModelGraph("tiny", "Functional", {}, (), ()))
        >>> print(drawing)
        tiny (Functional): no parameters
    """

    title: str
    dot: str = field(repr=False)
    text: str = field(repr=False)
    theme: Theme = field(repr=False)
    tips: tuple[tuple[str, str], ...] = field(repr=False)
    members: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), repr=False)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG.

        Raises:
            RenderError: If no Graphviz can be found; tells how to get one.
        """
        return finish(lay_out(self.dot).decode(), self.theme, dict(self.tips), self.title)

    def png(self, scale: float = 2.0) -> bytes:
        """Return the picture as PNG.

        Args:
            scale: Pixels for each CSS pixel.

        Raises:
            RenderError: If no Graphviz can be found; tells how to get one.
        """
        return rasterize(self.svg, scale)

    def pdf(self) -> bytes:
        """Return the picture as PDF.

        Raises:
            RenderError: If no Graphviz can be found, or typst is missing; tells how to get it.
        """
        return to_pdf(self.svg, self.title)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture in the format that the suffix tells, and return its path.

        The file is complete or absent, whatever happens meanwhile.

        Args:
            path: Ends with `.svg`, `.png`, `.pdf`, `.dot` or `.gv`.

        Raises:
            RenderError: If the suffix is another, or the folder does not exist.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            known = f"{near_misses(suffix, _SUFFIXES)}; there are {', '.join(_SUFFIXES)}"
            raise RenderError(f"cannot save {path.name!r}: no format {suffix!r}{known}")
        if not path.parent.is_dir():
            raise RenderError(
                f"cannot save {path.name!r}: there is no folder {str(path.parent)!r}; create it first"
            )
        write_whole(path, self._data(suffix))
        return path

    def _data(self, suffix: str) -> bytes:
        if suffix == ".png":
            return self.png()
        if suffix == ".pdf":
            return self.pdf()
        return (self.svg if suffix == ".svg" else self.dot).encode()

    def __str__(self) -> str:
        """Return the tree of text."""
        return self.text

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Return the picture and the text for a notebook; the text alone where nothing can draw."""
        bundle = {"text/plain": self.text}
        try:
            # Ids are shared by all outputs of a page.
            bundle["image/svg+xml"] = with_ids(self.svg, f"surgeon-{crc32(self.dot.encode()):08x}-")
        except RenderError as error:
            bundle["text/plain"] = f"{self.text}\n({error})"
        return {
            kind: data
            for kind, data in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is complete or absent, whatever happens meanwhile."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
