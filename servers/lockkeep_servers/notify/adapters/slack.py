"""Posts to Slack. Needs `slack_sdk`.

Slack has no idempotency key: each post carries our reference in its metadata, and a post whose answer was lost is looked
for in the channel's history. The SDK would send a write again by itself and follow redirects with our token; both are off.
"""

import logging
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPException
from typing import Any, NoReturn, TypeVar, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import anyio
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from lockkeep_servers.kit.errors import (
    Auth,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    ToolError,
    Unavailable,
    UnknownOutcome,
)
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.http import LONGEST_PAUSE_S, USUAL_PAUSE_S
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.notify.port import Note

T = TypeVar("T")
CALL_S, LARGEST, PAGES, PAGE = 20, 5_000_000, 10, 200
EVENT = "lockkeep_message"
CHANNEL_ID = re.compile(r"[CG][A-Z0-9]{2,20}")
CODE = re.compile(r"[a-z][a-z0-9_]{1,60}")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SLACK = ("slack.com", "slack-gov.com")
UNSENT = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)  # not a byte had left
SKEW_S = 300  # how far Slack's clock may be from ours
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # no mention, no link is made of a text

AUTH = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}
MISSING = {"channel_not_found", "message_not_found", "thread_not_found"}
FORBIDDEN = {
    "missing_scope", "not_in_channel", "is_archived", "restricted_action", "cant_delete_message",
    "team_access_not_granted", "access_denied", "ekm_access_denied", "not_allowed_token_type",
    "restricted_action_read_only_channel", "restricted_action_thread_only_channel", "org_login_required", "no_permission",
}  # fmt: skip
UNFIT = {
    "no_text", "msg_too_long", "invalid_arguments", "invalid_arg_name", "invalid_array_arg", "invalid_charset",
    "invalid_form_data", "invalid_post_type", "missing_post_type", "invalid_metadata_format",
    "invalid_metadata_schema", "metadata_too_large", "msg_blocks_too_long", "too_many_attachments",
}  # fmt: skip


class _Quiet(logging.Logger):
    """The SDK writes answers and errors into its log; ours holds codes only."""

    def __init__(self) -> None:
        super().__init__("lockkeep_servers.notify.slack", logging.CRITICAL + 1)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Client(WebClient):
    """The SDK's client on a connection that goes to the address set and nowhere else."""

    def _perform_urllib_http_request_internal(self, url: str, req: urllib.request.Request) -> dict[str, Any]:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.ssl), _NoRedirect
        )
        try:
            answer = opener.open(req, timeout=CALL_S)
        except HTTPError as error:
            answer = error  # an answer, too
        with answer:
            text = _limited(answer.read1).decode("utf-8", "replace")
            return {"status": answer.status, "headers": answer.headers, "body": text}


def _limited(read: Callable[[int], bytes]) -> bytes:
    """Return the whole body; one that is too large, or drips in for too long, is no answer."""
    began, parts, size = time.monotonic(), list[bytes](), 0
    while part := read(65_536):
        parts.append(part)
        size += len(part)
        if size > LARGEST or time.monotonic() - began > CALL_S:
            raise HTTPException
    return b"".join(parts)


class SlackChat:
    """Posts as the bot the token belongs to."""

    def __init__(self, token: str, url: str = WebClient.BASE_URL) -> None:
        client = _Client(token, base_url=url, timeout=CALL_S, retry_handlers=[], logger=_Quiet())
        client.proxy = None  # the SDK takes one from the environment
        self._client = cast(Any, client)  # its methods are half typed

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        yield

    async def examine(self) -> list[Finding]:
        """Ask Slack who we are."""
        try:
            answer = await self._ask(self._client.auth_test)
        except ToolError as error:
            fix = "Check LOCKKEEP_NOTIFY_SLACK_TOKEN and that the app is installed."
            return [Finding("unusable", f"Slack cannot be used: {error.code}.", fix)]
        return [Finding("ok", f"Slack knows us as {answer.get('user_id', 'a bot')}.")]

    async def post(self, note: Note) -> str:
        answer = await self._do(
            lambda: self._client.chat_postMessage(
                channel=note.address,
                text=note.text.translate(ESCAPES),
                mrkdwn=False,
                parse="none",
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
                metadata={"event_type": EVENT, "event_payload": {"reference": note.reference}},
            )
        )
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise UnknownOutcome
        return f"{channel}/{ts}"

    async def delete(self, place: str) -> None:
        channel, _, ts = place.partition("/")
        try:
            await self._do(lambda: self._client.chat_delete(channel=channel, ts=ts))
        except NotFound as error:
            if error.details.get("kind") != "message":
                raise

    async def find(self, address: str, reference: str, since: float) -> str | None:
        """Look through the channel's history; what is not all to be seen proves nothing."""
        cursor: str | None = None
        for _ in range(PAGES):
            answer = await self._page(address, since, cursor)
            for message in _messages(answer):
                if _reference(message) == reference:
                    return f"{address}/{message.get('ts')}"
            if not answer.get("has_more"):
                return None
            cursor = _object(answer.get("response_metadata")).get("next_cursor") or None
            if cursor is None:
                break
        raise Unavailable("Not all messages of the channel are to be seen.")

    async def _page(self, address: str, since: float, cursor: str | None) -> dict[str, Any]:
        return await self._ask(
            lambda: self._client.conversations_history(
                channel=address,
                oldest=f"{since - SKEW_S:.6f}",
                limit=PAGE,
                include_all_metadata=True,
                cursor=cursor,
            )
        )

    async def _ask(self, call: Callable[[], Any]) -> dict[str, Any]:
        """A read: whatever goes wrong, nothing happened."""
        try:
            return await self._do(call)
        except UnknownOutcome:
            raise Unavailable("Slack did not answer.") from None

    async def _do(self, call: Callable[[], Any]) -> dict[str, Any]:
        """Return what Slack answered, or say in our words why it did not do it."""
        return await anyio.to_thread.run_sync(lambda: _answered(call))


def _answered(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        answer = call()
    except SlackApiError as error:
        _translate(cast(Any, error.response))
    except URLError as error:
        if isinstance(error.reason, UNSENT):
            raise Unavailable("Slack cannot be reached.") from None
        raise UnknownOutcome from None
    except (OSError, HTTPException, SlackClientError, ValueError, AttributeError, TypeError):
        raise UnknownOutcome from None  # the request had left, and what came back says nothing
    return _object(answer.data)


def _translate(response: Any) -> NoReturn:
    """An error Slack names is a refusal; anything else leaves it open."""
    headers = {str(name).lower(): value for name, value in cast(Mapping[Any, Any], response.headers).items()}
    code = _object(response.data).get("error")
    if response.status_code == 429 or code in ("ratelimited", "rate_limited"):
        after = str(headers.get("retry-after", ""))
        said = after.isascii() and after.isdigit()
        raise RateLimited(min(max(int(after[:6]), 1), LONGEST_PAUSE_S) if said else USUAL_PAUSE_S)
    match code:
        case _ if code in AUTH:
            raise Auth
        case _ if code in MISSING:
            raise NotFound("message" if code != "channel_not_found" else "channel")
        case _ if code in FORBIDDEN:
            raise Forbidden
        case _ if code in UNFIT:
            raise Invalid({"text": "is not taken by the chat service"})
        case _:
            raise UnknownOutcome  # `internal_error`, `fatal_error`: some of it may have happened


def _object(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _messages(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = answer.get("messages")
    if not isinstance(found, list):
        raise Unavailable("Slack's answer holds no messages.")
    return [_object(each) for each in cast(list[Any], found)]


def _reference(message: Mapping[str, Any]) -> str | None:
    metadata = _object(message.get("metadata"))
    reference = _object(metadata.get("event_payload")).get("reference")
    return reference if metadata.get("event_type") == EVENT and isinstance(reference, str) else None


def read_slack(settings: Settings, channels: Mapping[str, str]) -> SlackChat:
    """Return the transport the settings describe."""
    token, url = settings.text("SLACK_TOKEN"), settings.text("SLACK_URL") or WebClient.BASE_URL
    if token is None or not token.isascii() or not token.isprintable():
        raise SettingError(f"CHAT_ADAPTER=slack needs {settings.name('SLACK_TOKEN')}.")
    if unnamed := sorted(name for name, id in channels.items() if not CHANNEL_ID.fullmatch(id)):
        raise SettingError(
            f"{settings.name('CHANNELS')}: give each channel its id, such as {unnamed[0]}=C0123ABCD."
        )
    host = _host(url)
    ours = host in SLACK or host.endswith(tuple(f".{name}" for name in SLACK))
    if not (ours and url.startswith("https://")) and not (host in LOOPBACK and url.startswith("http")):
        raise SettingError(
            f"{settings.name('SLACK_URL')} must be https://slack.com/api/, or a test's on this machine."
        )
    return SlackChat(token, url)


def _host(url: str) -> str:
    """Return the host of an address; empty if it is none."""
    try:
        host, _port = urlsplit(url).hostname, urlsplit(url).port  # a port that is none raises, too
    except ValueError:
        return ""
    return host or ""
