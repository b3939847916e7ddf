"""Approvals and alarms in Slack. A press of a button is a vote like any other, by the person its account belongs to."""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec

from lockkeep.errors import BadCredential
from lockkeep.model import Json
from lockkeep.notify.port import Cast, Notice, Undelivered
from lockkeep.notify.slackapi import BASE, SlackApi, SlackSays
from lockkeep.notify.slackcard import blocks, escaped, text_of
from lockkeep.notify.slackpress import is_signed, payload_of, place_of, press_of
from lockkeep.policy.files.channels import ChannelEntry
from lockkeep.upstream.credentials import resolve

logger = logging.getLogger(__name__)
EVENT = "lockkeep_notice"
NO_SDK = "Socket Mode needs slack_sdk: pip install 'lockkeep[slack]'"
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
QUIET = {"unfurl_links": False, "unfurl_media": False, "parse": "none", "link_names": False, "mrkdwn": False}


@dataclass(frozen=True)
class SlackChannel:
    """Posts once, and renews what it posted when people have decided."""

    entry: ChannelEntry

    @property
    def api(self) -> SlackApi:
        base = self.entry.values.get("api", BASE)
        return SlackApi(base if base.endswith("/") else f"{base}/", self.entry.values.get("ca_file"))

    @property
    def listens(self) -> bool:
        return "app_token" in self.entry.values

    @property
    def hears(self) -> bool:
        return self.listens or "signing_secret" in self.entry.values

    async def deliver(self, notice: Notice, places: tuple[str, ...]) -> str | None:
        if not self.hears:
            notice = replace(notice, link_only="buttons are not heard here")
        if notice.event == "approval.decided":
            for place in places:
                await self._renew(notice, place)
            return None
        if notice.over:
            return None  # it was decided before anybody was told here
        answer = await self._call(
            "chat.postMessage",
            {
                "metadata": {"event_type": EVENT, "event_payload": {"notice": notice.id}},
                **self._message(notice),
            },
        )
        return f"{answer.get('channel')}/{answer.get('ts')}"

    async def examine(self) -> str:
        answer = await self._call("auth.test", {})
        if self.listens:
            await self.socket()
            if find_spec("slack_sdk") is None:
                raise Undelivered(NO_SDK)
        elif "signing_secret" in self.entry.values:
            self._secret()
        return f"Slack knows us as {answer.get('user')} in {answer.get('team')}"

    async def socket(self) -> str:
        """The address of a connection that hears buttons."""
        answer = await self.api.call("apps.connections.open", self.entry.values["app_token"])
        return str(answer.get("url", ""))

    async def answer(self, body: bytes, stamp: str, signature: str, now: datetime, cast: Cast) -> bool:
        if "signing_secret" not in self.entry.values:
            return False
        try:
            secret = self._secret()
        except Undelivered as error:
            logger.warning("channel %s: %s", self.entry.name, error)
            return False
        if not is_signed(secret, body, stamp, signature, now):
            return False
        envelope = hashlib.sha256(f"{stamp}:{signature}".encode("utf-8", "replace")).hexdigest()
        await self.hear(payload_of(body), f"http:{envelope}", cast)
        return True

    async def hear(self, payload: Json, envelope: str, cast: Cast) -> None:
        """The vote, then what only who pressed is told."""
        press = press_of(payload, envelope)
        if press is None:
            return
        said = await cast(press)
        channel, user = place_of(payload)
        if said and channel and user:
            try:
                await self._call(
                    "chat.postEphemeral", {"channel": channel, "user": user, "text": escaped(said), **QUIET}
                )
            except Undelivered as error:
                logger.warning("channel %s could not answer who pressed: %s", self.entry.name, error)

    async def listen(self, cast: Cast, said: Callable[[str], Awaitable[None]]) -> None:
        try:
            from lockkeep.notify.sockets import listen
        except ImportError:
            await said(NO_SDK)
            return

        async def heard(payload: Json, envelope: str) -> None:
            await self.hear(payload, f"socket:{envelope}", cast)

        await listen(self.socket, heard, said, self.entry.values.get("ca_file"))

    async def _renew(self, notice: Notice, place: str) -> None:
        channel, _, ts = place.partition("/")
        try:
            await self._call("chat.update", {**self._message(notice), "channel": channel, "ts": ts})
        except SlackSays as error:
            if error.code not in GONE:
                raise

    def _message(self, notice: Notice) -> dict[str, Json]:
        return {
            "channel": self.entry.values["channel"],
            "text": text_of(notice),
            "blocks": blocks(notice),
            **QUIET,
        }

    async def _call(self, method: str, body: dict[str, Json]) -> Json:
        return await self.api.call(method, self.entry.values["token"], body)

    def _secret(self) -> str:
        try:
            return resolve(self.entry.values["signing_secret"])
        except BadCredential as error:
            raise Undelivered(f"signing_secret: {error}") from None
