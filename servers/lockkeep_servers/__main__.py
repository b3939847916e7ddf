"""`python -m lockkeep_servers` is `lockkeep-servers`."""

from lockkeep_servers.cli import main

main()
