"""Our entry in a host's file: put in, taken out, and everything else left as it was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockkeep_client.errors import ClientError
from lockkeep_client.hostfile import Edit, backup_of, read
from lockkeep_client.hosts import INPUT, INPUT_ID, Host, asks_for_token, is_ours
from lockkeep_client.jsonc import NotJson, Value, parse, with_item, with_member, without
from lockkeep_client.wire import record


class NotOurs(ClientError):
    """The host already has a server of this name that `connect` did not write. Look at it, then use --force."""

    def __init__(self, name: str, entry: object) -> None:
        super().__init__(f"There is already an entry {name!r} that is not ours.")
        self.entry = entry


class Unreadable(ClientError):
    """The host's file does not parse, and nothing was written. Mend it at the line that is named."""


@dataclass(frozen=True, kw_only=True)
class Entries:
    """Our entry in the file of one host."""

    host: Host
    path: Path
    name: str
    force: bool = False

    def current(self) -> Any:
        """Our entry as it is now; None where there is none."""
        return self._entry(self._text(read(self.path)))

    def put(self, entry: dict[str, Any]) -> Edit:
        """An edit after which the file holds this entry."""

        def edit(before: bytes | None) -> bytes:
            text = self._text(before)
            self._check(text)
            return self._with(text, entry).encode("utf-8")

        return edit

    def take_out(self) -> Edit:
        """An edit after which the file is as it was before our entry came, byte for byte where that is known."""

        def edit(before: bytes | None) -> bytes | None:
            text = self._text(before)
            entry = self._check(text)
            if entry is None:
                return before
            backup = read(backup_of(self.path.resolve()))
            if backup is not None and self._returns(backup, entry, text):
                return backup
            if self._with("", entry) == text:
                return None  # we made this file
            return self._without(text).encode("utf-8")

        return edit

    def _returns(self, backup: bytes, entry: Any, text: str) -> bool:
        """True when nothing but our entry came since the backup."""
        try:
            was = self._text(backup)
            return self._entry(was) is None and self._with(was, entry) == text
        except ClientError:
            return False

    def _check(self, text: str) -> Any:
        entry = self._entry(text)
        if entry is not None and not is_ours(entry) and not self.force:
            raise NotOurs(self.name, entry)
        return entry

    def _entry(self, text: str) -> Any:
        return record(self._parsed(text).plain.get(self.host.servers)).get(self.name)

    def _with(self, text: str, entry: Any) -> str:
        try:
            if self._entry(text) != entry:
                text = with_member(text, (self.host.servers, self.name), entry)
            if self.host.inputs and asks_for_token(entry) and not self._has_input(text):
                text = with_item(text, self.host.inputs, INPUT)
        except NotJson as error:
            raise Unreadable(f"{self.path}: {error}. Nothing was written.") from None
        return text

    def _without(self, text: str) -> str:
        servers = self._parsed(text).member(self.host.servers)
        if servers is not None:
            names = [member.key for member in servers.value.members]
            text = without(text, servers.value.members, len(names) - 1 - names[::-1].index(self.name))
        root = self._parsed(text)
        inputs = root.member(self.host.inputs) if self.host.inputs else None
        if inputs is not None and not asks_for_token(root.plain.get(self.host.servers)):
            ids = [record(item.value.plain).get("id") for item in inputs.value.items]
            text = without(text, inputs.value.items, ids.index(INPUT_ID)) if INPUT_ID in ids else text
        return text

    def _has_input(self, text: str) -> bool:
        inputs = self._parsed(text).member(self.host.inputs or "")
        return inputs is not None and any(
            record(item.value.plain).get("id") == INPUT_ID for item in inputs.value.items
        )

    def _parsed(self, text: str) -> Value:
        try:
            return parse(text)
        except NotJson as error:
            raise Unreadable(f"{self.path}: {error}. Nothing was written.") from None

    def _text(self, content: bytes | None) -> str:
        try:
            return (content or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            line = (content or b"").count(b"\n", 0, error.start) + 1
            raise Unreadable(f"{self.path}: line {line} is not UTF-8. Nothing was written.") from None
