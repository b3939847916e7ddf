"""Who calls: a bearer token is one user and one agent. A person's own token votes and calls no tools."""

from mcp.server.auth.provider import AccessToken
from pydantic import AnyHttpUrl

from lockkeep.ledger import callers
from lockkeep.store import Store

SCOPE = "lockkeep"
ISSUER = AnyHttpUrl(
    "https://lockkeep.invalid"
)  # tokens only: the SDK asks for a name, nothing is fetched from it


class Tokens:
    """Verifies tokens against the store on every request, so that a revoked one ends at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def verify_token(self, token: str) -> AccessToken | None:
        known = callers.identify(self._store.read, token)
        if known is None or known.agent is None:
            return None
        return AccessToken(token=token, client_id=known.agent, scopes=[SCOPE], subject=known.user)
