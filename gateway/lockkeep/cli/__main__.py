"""`python -m lockkeep.cli` is `lockkeep`."""

from lockkeep.cli import main

main()
