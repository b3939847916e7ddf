"""What arrives when somebody presses a button in Slack, over HTTP or over Socket Mode."""

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast
from urllib.parse import parse_qs

from lockkeep.model import Json, is_object
from lockkeep.notify.port import Press
from lockkeep.notify.slackcard import APPROVE, DENY

FRESH_S = 300  # seconds between Slack's clock and ours
SLACK_ID = re.compile(r"[A-Z0-9]{2,20}")
DECISIONS = {APPROVE: "approve", DENY: "deny"}


def is_signed(secret: str, body: bytes, stamp: str, signature: str, now: datetime) -> bool:
    """HMAC-SHA256 over `v0:TIMESTAMP:BODY`, within five minutes, compared in constant time."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return False
    if abs(now.timestamp() - int(stamp)) > FRESH_S:
        return False
    said = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, "sha256").hexdigest()
    return hmac.compare_digest(f"v0={said}".encode(), signature.encode("utf-8", "replace"))


def payload_of(body: bytes) -> Json:
    """The JSON in the form that Slack sends; None if there is none."""
    try:
        found = parse_qs(body.decode("utf-8"), max_num_fields=10).get("payload", [])
        return json.loads(found[0]) if len(found) == 1 else None
    except (ValueError, RecursionError):
        return None


def press_of(payload: Json, envelope: str) -> Press | None:
    """The press in it, if it is one of our buttons; who pressed is told by Slack's ids, never by a name or an address."""
    if not is_object(payload) or payload.get("type") != "block_actions":
        return None
    user, team, action = payload.get("user"), payload.get("team"), _only(payload.get("actions"))
    if action is None or not is_object(user):
        return None
    decision = DECISIONS.get(str(action.get("action_id")))
    here = str(team.get("id", "")) if is_object(team) else ""
    own, name = str(user.get("team_id") or here), str(user.get("id", ""))
    if decision is None or not SLACK_ID.fullmatch(own) or not SLACK_ID.fullmatch(name):
        return None
    return Press(
        channel="slack",
        envelope=envelope,
        account=f"slack:{own}/{name}",
        value=str(action.get("value", "")),
        decision=decision,
        foreign=own != here,
    )


def _only(actions: Json) -> Mapping[str, Json] | None:
    found = cast("Sequence[Json]", actions) if isinstance(actions, list) else ()
    return found[0] if len(found) == 1 and is_object(found[0]) else None


def place_of(payload: Json) -> tuple[str, str]:
    """The channel and the user, to answer there so that only this person sees it; empty if it is not said."""
    container, user = (payload.get("container"), payload.get("user")) if is_object(payload) else (None, None)
    channel = str(container.get("channel_id", "")) if is_object(container) else ""
    return channel, str(user.get("id", "")) if is_object(user) else ""
