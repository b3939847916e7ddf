"""`lockkeep-client connect`: our entry in a host's file, shown, written, or taken out again."""

import difflib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockkeep_client.entries import Entries, NotOurs
from lockkeep_client.errors import BadRequest, ClientError
from lockkeep_client.exchange import Exchange, Frame, Lost, NotSent, Refused, parsed
from lockkeep_client.hostfile import read, rewrite
from lockkeep_client.hosts import (
    HOSTS,
    INPUT,
    Host,
    Place,
    asks_for_token,
    file_of,
    http_entry,
    server_name,
    stdio_entry,
)
from lockkeep_client.settings import endpoint, keeps_tokens_private, user_folder
from lockkeep_client.wire import ENVELOPE, MODERN, items_of, modern_headers, record, text_of

HOST_CLI_S = 30


class HostRefused(ClientError):
    """The host's own command failed, and nothing is known to be written. Run it yourself, or write the printed entry."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked `connect` for."""

    host: str
    url: str
    scope: str = "project"
    workflow: str | None = None
    stdio: bool = False
    action: str = "print"
    force: bool = False
    insecure: bool = False


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One host, one file, one entry."""

    host: Host
    name: str
    entry: dict[str, Any]
    path: Path | None
    scope: str
    force: bool
    place: Place
    host_cli: str | None  # the host's own program, where it edits its file better than we do

    def fragment(self) -> dict[str, Any]:
        """What a person would paste into the host's file."""
        inputs = {self.host.inputs: [INPUT]} if self.host.inputs and asks_for_token(self.entry) else {}
        return inputs | {self.host.servers: {self.name: self.entry}}

    def write(self) -> bool:
        """The host has our entry; False if it had it before."""
        entries = self._entries()
        if self.host_cli is None:
            return rewrite(entries.path, entries.put(self.entry), self._locks())
        current = entries.current()
        entries.put(self.entry)(read(entries.path))  # raises where the entry is not ours
        if current == self.entry:
            return False
        if current is not None:
            self._run("remove", "--scope", "user", self.name)
        self._run("add-json", "--scope", "user", self.name, json.dumps(self.entry))
        return True

    def remove(self) -> bool:
        """The host has no entry of ours; False if it had none before."""
        entries = self._entries()
        if self.host_cli is None or entries.current() is None:
            return rewrite(entries.path, entries.take_out(), self._locks())
        entries.take_out()(read(entries.path))  # raises where the entry is not ours
        self._run("remove", "--scope", "user", self.name)
        return True

    def difference(self, found: object) -> str:
        """Their entry against ours; values that may be secret are not shown."""
        theirs, ours = (json.dumps(_masked(entry), indent=2).splitlines() for entry in (found, self.entry))
        return "\n".join(difflib.unified_diff(theirs, ours, "there now", "ours", lineterm=""))

    def _entries(self) -> Entries:
        if self.path is None:
            raise BadRequest("`json` is an entry to paste: it can only be printed.")
        return Entries(host=self.host, path=self.path, name=self.name, force=self.force)

    def _locks(self) -> Path:
        return user_folder(self.place.env, self.place.home) / "locks"

    def _run(self, *args: str) -> None:
        command = [self.host_cli or "", "mcp", *args]
        try:
            done = subprocess.run(command, capture_output=True, timeout=HOST_CLI_S, stdin=subprocess.DEVNULL)  # noqa: S603 - a list of our own words, no shell
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostRefused(f"`{self.host.name}` could not be run ({type(error).__name__}).") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-500:]
            raise HostRefused(f"`claude mcp {args[0]}` ended with {done.returncode}: {said}")


def connection(wish: Wish, place: Place, which: Callable[[str], str | None]) -> Connection:
    """The connection a wish describes; BadRequest where it makes no sense."""
    host = HOSTS.get(wish.host)
    if host is None:
        raise BadRequest(f"{wish.host!r} is no host we know. Known: {', '.join(HOSTS)}.")
    url = endpoint(wish.url, wish.workflow)
    if wish.action != "remove" and not wish.insecure and not keeps_tokens_private(url):
        raise BadRequest(
            f"{url} is neither https nor this machine, so others could read the token. --insecure allows it."
        )
    user_claude = host.name == "claude-code" and wish.scope == "user"
    return Connection(
        host=host,
        name=server_name(wish.workflow),
        entry=stdio_entry(host, url, place) if wish.stdio else http_entry(host, url, wish.scope, place),
        path=file_of(host, wish.scope, place),
        scope=wish.scope,
        force=wish.force,
        place=place,
        host_cli=which("claude") if user_claude else None,
    )


async def unknown_workflow(url: str, workflow: str, token: Callable[[], str | None]) -> list[str] | None:
    """The workflows there are, if the gateway says that this is none of them; None if it is, or nobody answers."""
    frame = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": ENVELOPE}}
    async with Exchange(endpoint(url, workflow), token) as exchange:
        try:
            await exchange.post(json.dumps(frame).encode(), modern_headers(frame, MODERN), _to_nobody)
        except Refused as refusal:
            if refusal.status == 404:
                known = record(parsed(refusal.body.encode())).get("workflows")
                return [text_of(name) for name in items_of(known)]
        except (NotSent, Lost, ClientError):
            return None
    return None


def explain(problem: ClientError, wanted: Connection | None) -> str:
    """The sentence for a person, with the difference where the entry is not ours."""
    if isinstance(problem, NotOurs) and wanted is not None:
        return f"{problem} Look at the difference, then use --force to replace it.\n{wanted.difference(problem.entry)}"
    return str(problem)


async def _to_nobody(came: Frame) -> None:
    del came


def _masked(entry: object) -> dict[str, Any]:
    shown = dict(record(entry))
    for secret in ("headers", "env"):
        if values := record(shown.get(secret)):
            shown[secret] = dict.fromkeys(values, "…")
    return shown
