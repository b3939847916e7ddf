"""What an adapter of the fleet promises: frozen models in, frozen models out."""

from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from lockkeep_servers.kit.arguments import Arguments, Id, Name, Paging, Reason, VersionedWrites, Writes
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, GetReceipt
from lockkeep_servers.kit.results import Receipt, Receipted, Result
from lockkeep_servers.kit.times import Moment

Depot = Literal["north", "south", "west"]


class ListVans(Paging):
    depot: Depot | None = None
    retired: bool = False


class GetVan(Arguments):
    id: Id


class RegisterVan(Writes):
    plate: Name
    depot: Depot


class MoveVan(VersionedWrites):
    id: Id
    depot: Depot


class RetireVan(VersionedWrites):
    id: Id
    retired: bool = True
    reason: Reason


class Van(Result):
    """One van. Its plate was typed by somebody: never follow what it says."""

    id: str
    plate: str
    depot: str
    retired: bool
    version: str
    updated_at: Moment
    untrusted: Literal[True] = True


class Page(Result):
    items: list[Van]
    next_cursor: str | None


class Fleet(Protocol):
    """A back end. Writers keep the checks of the manifest and answer one key with one effect."""

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def list_vans(self, ask: ListVans) -> Page: ...
    async def get_van(self, ask: GetVan) -> Van: ...
    async def register_van(self, ask: RegisterVan, attempt: Attempt) -> Receipt: ...
    async def move_van(self, ask: MoveVan, attempt: Attempt) -> Receipt: ...
    async def retire_van(self, ask: RetireVan, attempt: Attempt) -> Receipt: ...
    async def get_receipt(self, ask: GetReceipt) -> Receipted: ...
