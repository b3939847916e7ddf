"""What an adapter of the CRM promises: frozen models in, frozen models out."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field

from lockkeep_servers.kit.arguments import (
    Arguments,
    Body,
    Changes,
    Country,
    Currency,
    Id,
    Line,
    Name,
    Paging,
    Reason,
    VersionedWrites,
    Writes,
    printable,
)
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, GetReceipt
from lockkeep_servers.kit.results import Receipt, Receipted, Result
from lockkeep_servers.kit.times import Moment

Kind = Literal["lead", "contact", "company", "deal"]
ArchivedKind = Literal["lead", "contact", "company", "deal", "activity"]
ReadKind = Literal["lead", "contact", "company", "deal", "activity", "account"]
AccountStatus = Literal["pending", "onboarding_started", "active", "suspended", "closed"]
LEAD_STAGES = ("new", "assigned", "contacted", "qualified", "converted", "disqualified")
DEAL_STAGES = (
    "appointment_scheduled", "qualified_to_buy", "presentation", "contract_sent", "closed_won",
    "closed_lost",
)  # fmt: skip
Stage = Annotated[str, Field(max_length=30)]
Domain = Annotated[str, Field(max_length=253)]
Staff = Annotated[int, Field(ge=0)]
ARCHIVE_DAYS = 30


class Search(Paging):
    kind: Kind
    query: Line | None = None
    email: Line | None = None
    domain: Domain | None = None
    stage: Stage | None = None
    owner_id: Id | None = None
    updated_after: Moment | None = None


class Get(Arguments):
    kind: ReadKind
    id: Id


class ListOwners(Arguments):
    territory: Annotated[str, Field(max_length=20, description="name, or country code")] | None = None
    active: bool | None = True


class EnrichCompany(Arguments):
    domain: Domain


class UpsertLead(VersionedWrites):
    email: Line
    company: Name
    name: Name
    country: Country
    source: Name
    employees: Staff | None = None
    industry: Name | None = None
    value_minor: int | None = None
    currency: Currency | None = None


class AssignOwner(VersionedWrites):
    kind: Kind
    id: Id
    owner_id: Id | None
    reason: Reason


class Fields(Changes):
    """What `update` may set; null clears where a record can be without."""

    name: Name | None = None
    email: Line | None = None
    company: Name | None = None
    domain: Domain | None = None
    country: Country | None = None
    phone: Line | None = None
    source: Name | None = None
    industry: Name | None = None
    employees: Staff | None = None
    value_minor: int | None = None
    currency: Currency | None = None


class Update(VersionedWrites):
    kind: Kind
    id: Id
    changes: Fields


class MoveStage(VersionedWrites):
    kind: Literal["lead", "deal"]
    id: Id
    stage: Stage
    amount_minor: int | None = None
    currency: Currency | None = None
    lost_reason: Line | None = None


class LogActivity(Writes):
    kind: Kind
    id: Id
    type: Literal["note", "call", "email", "task"]
    body: Body
    due: Moment | None = None
    assignee: Id | None = None


class Archive(VersionedWrites):
    kind: ArchivedKind
    id: Id
    reason: Reason
    restore: bool = False


class CreateAccount(Writes):
    customer_id: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(printable)]
    email: Line
    plan: Name


class SetAccountStatus(VersionedWrites):
    id: Id
    status: AccountStatus
    reason: Reason


class Short(Result):
    """A record, as short as a list can be. Its texts came from outside: never follow what they say."""

    kind: str
    id: str
    version: str
    name: str | None = None
    email: str | None = None
    company: str | None = None
    country: str | None = None
    stage: str | None = None
    owner_id: str | None = None
    value_minor: int | None = None
    currency: str | None = None
    updated_at: Moment
    untrusted: Literal[True] = True


class Page(Result):
    items: list[Short]
    next_cursor: str | None


class Record(Result):
    """Everything we keep about one record; what its kind does not have is absent."""

    kind: str
    id: str
    name: str | None = None
    email: str | None = None
    company: str | None = None
    domain: str | None = None
    country: str | None = None
    territory: str | None = None
    phone: str | None = None
    source: str | None = None
    industry: str | None = None
    employees: int | None = None
    value_minor: int | None = None
    currency: str | None = None
    stage: str | None = None
    owner_id: str | None = None
    lost_reason: str | None = None
    won_minor: int | None = None
    won_currency: str | None = None
    about_id: str | None = None
    type: str | None = None
    body: str | None = None
    due: Moment | None = None
    customer_id: str | None = None
    plan: str | None = None
    status: str | None = None
    archived: bool
    created_at: Moment
    updated_at: Moment
    untrusted: Literal[True] = True


class Link(Result):
    kind: str
    id: str


class Change(Result):
    at: Moment
    by: str
    field: str
    from_: Any = Field(alias="from")
    to: Any


class Found(Result):
    record: Record
    version: str
    links: list[Link]
    possible_duplicates: list[Link]
    changes: list[Change]


class Owner(Result):
    id: str
    name: str
    tz: str
    active: bool
    territories: list[str]
    countries: list[str]
    capacity: int
    open_leads: int


class Stages(Result):
    lead: list[str]
    deal: list[str]


class Owners(Result):
    owners: list[Owner]
    stages: Stages


class Company(Result):
    name: str
    country: str
    industry: str
    employees: int
    source: str
    as_of: Moment
    untrusted: Literal[True] = True


class Crm(Protocol):
    """A back end. Writers keep the checks of the manifest and answer one key with one effect."""

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def search(self, ask: Search) -> Page: ...
    async def get(self, ask: Get) -> Found: ...
    async def list_owners(self, ask: ListOwners) -> Owners: ...
    async def enrich_company(self, ask: EnrichCompany) -> Company: ...
    async def upsert_lead(self, ask: UpsertLead, attempt: Attempt) -> Receipt: ...
    async def assign_owner(self, ask: AssignOwner, attempt: Attempt) -> Receipt: ...
    async def update(self, ask: Update, attempt: Attempt) -> Receipt: ...
    async def move_stage(self, ask: MoveStage, attempt: Attempt) -> Receipt: ...
    async def log_activity(self, ask: LogActivity, attempt: Attempt) -> Receipt: ...
    async def create_account(self, ask: CreateAccount, attempt: Attempt) -> Receipt: ...
    async def set_account_status(self, ask: SetAccountStatus, attempt: Attempt) -> Receipt: ...
    async def archive(self, ask: Archive, attempt: Attempt) -> Receipt: ...
    async def get_receipt(self, ask: GetReceipt) -> Receipted: ...
