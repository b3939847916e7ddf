"""Who may call and who may vote: tokens, one-time sign-in links and console sessions, kept as hashes only."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockkeep.errors import NotFound
from lockkeep.ledger import audit
from lockkeep.model import stamp
from lockkeep.store import Tx

LINK = timedelta(minutes=10)
SESSION = timedelta(hours=12)
PREFIX = "lk_"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose token it is. Without an agent it is a person's own: it votes and calls no tools."""

    token: str
    user: str
    agent: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A person signed in to the inbox."""

    person: str
    csrf: str


def create_token(tx: Tx, *, token_id: str, user: str, agent: str | None, by: str, now: datetime) -> str:
    """A new secret, shown once; only its hash is kept."""
    secret = PREFIX + secrets.token_urlsafe(32)
    tx.run("token_insert", id=token_id, hash=_hash(secret), user=user, agent=agent, by=by, at=stamp(now))
    audit.append(tx, "token.created", now, token=token_id, user=user, agent=agent, by=by)
    return secret


def identify(tx: Tx, secret: str) -> Identity | None:
    row = tx.one("token_get", hash=_hash(secret))
    return Identity(row["id"], row["user"], row["agent"]) if row else None


def revoke(tx: Tx, token_id: str, *, by: str, now: datetime) -> None:
    if not tx.run("token_revoke", id=token_id, at=stamp(now)):
        raise NotFound(f"no working token {token_id}; `lockkeep token list` shows them")
    audit.append(tx, "token.revoked", now, token=token_id, by=by)


def create_link(tx: Tx, *, person: str, by: str, now: datetime) -> str:
    """The secret part of a link that signs a person in once, within ten minutes."""
    secret = secrets.token_urlsafe(24)
    tx.run("sign_in_insert", hash=_hash(secret), person=person, expires_at=stamp(now + LINK))
    audit.append(tx, "console.link", now, person=person, by=by)
    return secret


def sign_in(tx: Tx, link: str, now: datetime, *, record_refusal: bool = True) -> str | None:
    """A new session's secret, if the link is fresh; a used or old one is on the record, unless a flood is on."""
    row = tx.one("sign_in_use", hash=_hash(link), now=stamp(now))
    if row is None:
        if record_refusal:
            audit.append(
                tx, "console.refused", now, reason="the link was used before, is too old, or never was"
            )
        return None
    secret = secrets.token_urlsafe(32)
    tx.run(
        "session_insert", hash=_hash(secret), person=row["person"], csrf=secrets.token_urlsafe(24), at=stamp(now),
        expires_at=stamp(now + SESSION),
    )  # fmt: skip
    audit.append(tx, "console.signed_in", now, person=row["person"])
    return secret


def session(tx: Tx, secret: str, now: datetime) -> Session | None:
    row = tx.one("session_get", hash=_hash(secret), now=stamp(now))
    return Session(row["person"], row["csrf"]) if row else None


def sign_out(tx: Tx, secret: str) -> None:
    tx.run("session_end", hash=_hash(secret))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
