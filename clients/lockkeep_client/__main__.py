"""`python -m lockkeep_client` is `lockkeep-client`."""

import sys

from lockkeep_client.cli import main

sys.exit(main())
