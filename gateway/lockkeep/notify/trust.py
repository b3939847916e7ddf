"""Whose certificates are believed: the usual ones, and one's own file."""

import ssl
from functools import lru_cache
from typing import Literal

import anyio
import httpx2

from lockkeep.notify.port import Undelivered

Use = Literal["http", "mail", "socket"]  # each has a context of its own: libraries write into it


async def trusted(use: Use, ca_file: str | None) -> ssl.SSLContext:
    """Made once: reading all certificates takes long, so it happens beside the calls, and again when the file changed."""
    try:
        changed = (await anyio.Path(ca_file).stat()).st_mtime_ns if ca_file is not None else 0
        return await anyio.to_thread.run_sync(_trusted, use, ca_file, changed)
    except OSError:  # an error of TLS is one, too
        raise Undelivered(f"ca_file: {ca_file} cannot be read as a certificate") from None


@lru_cache(maxsize=16)
def _trusted(_use: Use, ca_file: str | None, _changed: int) -> ssl.SSLContext:
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
