"""Slack's Web API, as far as messages go: no redirect followed, no proxy asked, errors in plain words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from lockkeep.errors import BadCredential
from lockkeep.model import Json, is_object
from lockkeep.notify.port import Undelivered
from lockkeep.notify.trust import trusted
from lockkeep.upstream.credentials import resolve_bearer

BASE = "https://slack.com/api/"
LIMIT, LONGEST_REST, LARGEST = 15.0, 3600.0, 1_000_000
WORDS = {
    "invalid_auth": "Slack does not know the token",
    "not_authed": "Slack does not know the token",
    "account_inactive": "the Slack app was removed from the workspace; install it again",
    "token_revoked": "the token was withdrawn; install the Slack app again",
    "token_expired": "the token is too old; make a new one",
    "missing_scope": "the Slack app may not do that; give it the scope chat:write and install it again",
    "not_allowed_token_type": "this is another kind of token: `token` begins with xoxb-, `app_token` with xapp-",
    "channel_not_found": "Slack knows no such channel, or the app is not in it",
    "not_in_channel": "the Slack app is not in the channel; invite it there",
    "is_archived": "the Slack channel is archived",
    "ratelimited": "Slack wants fewer messages",
}


class SlackSays(Undelivered):
    """Slack named an error."""

    def __init__(self, code: str, after: float | None = None) -> None:
        super().__init__(WORDS.get(code, f"Slack answered {code}"), after)
        self.code = code


@dataclass(frozen=True)
class SlackApi:
    """Calls methods with a token that is read anew each time."""

    base: str = BASE
    ca_file: str | None = None

    async def call(
        self, method: str, token: str, body: Mapping[str, Json] | None = None
    ) -> Mapping[str, Json]:
        """What Slack answered; `token` is a reference."""
        try:
            headers = {"Authorization": f"Bearer {resolve_bearer(token)}"}
        except BadCredential as error:
            raise Undelivered(f"token: {error}") from None
        headers["Content-Type"] = "application/json; charset=utf-8"
        secure = urlsplit(self.base).scheme == "https"
        verify = await trusted("http", self.ca_file) if secure else False
        try:
            async with httpx2.AsyncClient(
                timeout=LIMIT,
                follow_redirects=False,
                trust_env=False,
                verify=verify,
            ) as http:
                answer = await http.post(self.base + method, content=json.dumps(body or {}), headers=headers)
        except httpx2.HTTPError as error:
            raise Undelivered(f"Slack does not answer: {type(error).__name__}") from None
        return _said(answer)


def _said(answer: httpx2.Response) -> Mapping[str, Json]:
    after = answer.headers.get("retry-after", "")
    if answer.status_code == 429:
        rest = min(float(after), LONGEST_REST) if after.isascii() and after.isdigit() else 30.0
        raise SlackSays("ratelimited", rest)
    if answer.status_code != 200 or len(answer.content) > LARGEST:
        raise Undelivered(f"Slack answered {answer.status_code}")
    try:
        said: Json = json.loads(answer.content)
    except ValueError:
        raise Undelivered("Slack's answer cannot be read") from None
    if not is_object(said):
        raise Undelivered("Slack's answer cannot be read")
    if said.get("ok") is not True:
        raise SlackSays(str(said.get("error", "nothing that can be read"))[:60])
    return said
