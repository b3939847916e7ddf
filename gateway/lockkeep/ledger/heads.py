"""Heads of the chain: how long the log is and how it ends, signed with a key of this installation.

A head that stands outside, out of the reach of whoever owns the database, is what the log is later held against.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from lockkeep.errors import NotAllowed, Unreadable
from lockkeep.ledger import audit
from lockkeep.ledger.chain import Mark, Tampering, line
from lockkeep.model import Json, moment, stamp
from lockkeep.store import Row, Tx

FILE = "head.key"
EVERY = timedelta(seconds=60)
RECORDS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is signed, and the signature."""

    installation: str
    size: int
    hash: str
    at: str
    signature: str

    @property
    def mark(self) -> Mark:
        return Mark(self.size, self.hash, self.at)

    @property
    def signed(self) -> bytes:
        """The very bytes that the signature covers."""
        said = {"installation": self.installation, "size": self.size, "hash": self.hash, "at": self.at}
        return line(said).encode()

    @property
    def text(self) -> str:
        """One line, as it leaves."""
        return line({**json.loads(self.signed), "signature": self.signature})


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that checks. An installation is named by it."""

    key: Ed25519PublicKey

    @property
    def installation(self) -> str:
        raw = self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return hashlib.sha256(raw).hexdigest()[:16]

    @property
    def pem(self) -> str:
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def made(self, signed: bytes, signature: str) -> bool:
        """Whether the other half signed exactly these bytes."""
        try:
            self.key.verify(bytes.fromhex(signature), signed)
        except (InvalidSignature, ValueError):
            return False
        return True

    def fault(self, head: Head) -> Tampering | None:
        """What is wrong with a head's signature."""
        if not self.made(head.signed, head.signature):
            return Tampering(head.size, "signature", "the head was not signed with this key, or was changed")
        if head.installation != self.installation:
            return Tampering(head.size, "signature", f"the head is of installation {head.installation}")
        return None


@dataclass(frozen=True, slots=True)
class Key:
    """The half that signs, of this installation alone."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.private.public_key())

    def sign(self, size: int, digest: str, at: str) -> Head:
        head = Head(installation=self.public.installation, size=size, hash=digest, at=at, signature="")
        return replace(head, signature=self.private.sign(head.signed).hex())


def key_of(folder: Path) -> Key | None:
    """The key of this data folder; None before the first head."""
    path = folder / FILE
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise NotAllowed(f"{path} can be read by others; chmod 600 it")
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise Unreadable(
            f"{path} holds no private key: put it back, or move it away for a new one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Unreadable(f"{path} holds no Ed25519 key: put it back, or move it away for a new one")
    return Key(key)


def make_key(folder: Path, tx: Tx, now: datetime) -> Key:
    """The key of this data folder; if there is none, a new one is made, and its public half is on record."""
    if (found := key_of(folder)) is not None:
        return found
    made = Key(Ed25519PrivateKey.generate())
    text = made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = folder / f"{FILE}.{secrets.token_hex(4)}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FILE)
    base64 = made.public.pem.splitlines()[1]
    audit.append(tx, "log.key", now, installation=made.public.installation, key=base64)
    return made


def public_key(path: Path) -> PublicKey:
    """The public half from a file, as `lockkeep audit key` prints it."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise Unreadable(f"{path} holds no public key; `lockkeep audit key` prints it") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Unreadable(f"{path} holds no Ed25519 key; `lockkeep audit key` prints it")
    return PublicKey(key)


def heads_in(path: Path) -> list[Head]:
    """The heads of a file with one in each line, or of every such file in a folder."""
    files = sorted(path.glob("*.json*")) if path.is_dir() else [path]
    found = [
        head_of(text, str(file))
        for file in files
        for text in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if text.strip()
    ]
    if not found:
        raise Unreadable(f"{path} holds no head")
    return found


def head_of(text: str, where: str) -> Head:
    """One head from its line; text around it, as a syslog server puts it, is left out."""
    try:
        said: Mapping[str, Json] = json.loads(text[text.index("{") :])
        return Head(
            installation=str(said["installation"]), size=int(said["size"]), hash=str(said["hash"]), at=str(said["at"]),
            signature=str(said["signature"]),
        )  # fmt: skip
    except (ValueError, LookupError, TypeError) as error:
        raise Unreadable(f"{where}: this is no head: {text[:60]!r}") from error


# -- in the store -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A head with its number in the store."""

    id: int
    head: Head


def newest(tx: Tx, installation: str) -> Kept | None:
    row = tx.one("head_newest", installation=installation)
    return _kept(row) if row else None


def due(tx: Tx, installation: str, now: datetime) -> bool:
    """Whether the log has grown so much, so long or so seriously that a head shall leave."""
    end, last = tx.one("audit_head"), newest(tx, installation)
    if end is None:
        return False
    if last is None:
        return True
    grown: int = end["seq"] - last.head.size
    return grown > 0 and (
        grown >= RECORDS
        or now - moment(last.head.at) >= EVERY
        or tx.one("head_urgent", size=last.head.size) is not None
    )


def take(tx: Tx, key: Key, now: datetime) -> Kept:
    """A head over everything that is written, kept beside the log; an equal one is not signed twice."""
    end = tx.one("audit_head")
    size, digest = (end["seq"], end["hash"]) if end else (0, audit.GENESIS)
    last = newest(tx, key.public.installation)
    if last is not None and (last.head.size, last.head.hash) == (size, digest):
        return last
    return Kept(*_inserted(tx, key.sign(size, digest, stamp(now))))


def keep(tx: Tx, head: Head) -> Head:
    """A head that was signed for another place than the end stands beside the others."""
    return _inserted(tx, head)[1]


def _inserted(tx: Tx, head: Head) -> tuple[int, Head]:
    row = tx.one(
        "head_insert", size=head.size, hash=head.hash, at=head.at, installation=head.installation, signature=head.signature
    )  # fmt: skip
    return (row["id"] if row else 0), head


def _kept(row: Row) -> Kept:
    head = Head(
        installation=row["installation"], size=row["size"], hash=row["hash"], at=row["at"], signature=row["signature"]
    )  # fmt: skip
    return Kept(row["id"], head)


def kept(tx: Tx) -> list[Head]:
    """Every head that was signed here and still stands in the store."""
    return [_kept(row).head for row in tx.all("heads_list")]
