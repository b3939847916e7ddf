"""What is raised. Only when nothing was decided: every decided call is a value of `outcomes`."""


class ClientError(Exception):
    """Nothing was decided. The sentence says why, and what mends it."""


class GatewayUnreachable(ClientError):
    """The gateway did not answer, and nothing was decided. Check LOCKKEEP_URL, then run `lockkeep-client doctor`."""


class NotLoggedIn(ClientError):
    """The gateway does not know the caller. Run `lockkeep-client token set`, or set LOCKKEEP_TOKEN."""


class BadRequest(ClientError):
    """The request itself is wrong, and nothing was decided. Correct what the sentence names; sending it again is safe."""
