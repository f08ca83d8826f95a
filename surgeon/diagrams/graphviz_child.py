"""Lays out the DOT text on standard input and writes SVG. Run as a script, see `layout.py`.

It is started anew for every picture and so imports next to nothing: what `import pygraphviz` brings
along takes longer than laying out most pictures. Graphviz itself is reached in the same way.

    python graphviz_child.py FOLDER_OF_PYGRAPHVIZ
"""

import sys


def main(folder: str) -> None:
    """Draw from standard input to standard output.

    Raises:
        SystemExit: If Graphviz does not draw it.
    """
    package = type(sys)("pygraphviz")
    package.__path__ = [folder]
    sys.modules["pygraphviz"] = package
    from pygraphviz import graphviz

    graph = graphviz.agread(sys.stdin, None)
    context = graphviz.gvContextWithBuiltins()
    if error := graphviz.gvLayout(context, graph, b"dot"):
        sys.exit(f"no layout: error {error}")
    error, svg = graphviz.gvRenderData(context, graph, b"svg")
    if error:
        sys.exit(f"no SVG: error {error}")
    sys.stdout.buffer.write(svg)


if __name__ == "__main__":
    main(*sys.argv[1:])
