"""Where a command works: the settings, the store, the policy set in force, and who gives the command."""

import getpass
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lockkeep.errors import NotAllowed, NotFound
from lockkeep.ledger import callers
from lockkeep.model import Person
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.files.people import People
from lockkeep.policy.inforce import InForce
from lockkeep.settings import Settings, from_environment
from lockkeep.store import Store
from lockkeep.store.folder import whole


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(10)}"


@dataclass(frozen=True)
class Here:
    """One opened store with the command's author."""

    settings: Settings
    store: Store
    in_force: InForce

    @property
    def rules(self) -> PolicySet | None:
        return self.in_force.current

    @property
    def people(self) -> People:
        return self.rules.people if self.rules else People()

    def person(self) -> Person | None:
        """Whose token it is; None without one. An agent's token is nobody's here."""
        secret = _secret()
        if secret is None:
            return None
        known = callers.identify(self.store.read, secret)
        if known is None:
            raise NotAllowed("the token in LOCKKEEP_TOKEN (or its file) is not known, or was revoked")
        if known.agent is not None:
            raise NotAllowed(f"this is the token of agent {known.agent}; people decide with their own token")
        person = self.people.persons.get(known.user)
        if person is None:
            raise NotAllowed(f"{known.user} is not in people.yaml")
        return person

    def author(self, duty: str | None = None, *, in_emergency: bool = False) -> str:
        """The person of the token, or the owner of the data folder; a person needs the duty.

        In an emergency a token that does not serve is no obstacle to the owner of the data folder.
        """
        try:
            return self._author(duty)
        except NotAllowed:
            if in_emergency:
                return f"local:{getpass.getuser()}"
            raise

    def _author(self, duty: str | None) -> str:
        person = self.person()
        if person is None:
            return f"local:{getpass.getuser()}"
        if duty is not None and not self.people.may(person.id, duty):
            raise NotAllowed(f"people.yaml does not give {person.id} the duty `{duty}`")
        return person.id


@contextmanager
def here(*, must_exist: bool = True) -> Generator[Here]:
    """The store of this folder, beside a running gateway or without one."""
    settings = from_environment()
    whole(settings.data)
    if must_exist and not settings.store.exists():
        raise NotFound(f"there is no ledger in {settings.data}; run `lockkeep init`, or set LOCKKEEP_DATA")
    store = Store(settings.store)
    try:
        in_force = InForce(store)
        in_force.refresh()
        yield Here(settings, store, in_force)
    finally:
        store.close()


def _secret() -> str | None:
    if token := os.environ.get("LOCKKEEP_TOKEN"):
        return token
    path = os.environ.get("LOCKKEEP_TOKEN_FILE")
    if not path:
        return None
    file = Path(path)
    if not file.is_file():
        raise NotAllowed(f"LOCKKEEP_TOKEN_FILE names {path}, and there is no such file")
    if file.stat().st_mode & 0o077:
        raise NotAllowed(f"{path} can be read by others; chmod 600 it")
    return file.read_text(encoding="utf-8").strip()


__all__ = ["Here", "here", "random_id", "utc_now"]
