"""`python -m surgeon.cli`, where the `surgeon` command is not on the path."""

from surgeon.cli import main

main()
