"""The command line: the words of the Python API, on files.

TensorFlow is imported only by commands that open a model, and not before their options are checked.
"""


def main() -> None:
    """Run the `surgeon` command."""
    from surgeon.cli.app import app

    app()
