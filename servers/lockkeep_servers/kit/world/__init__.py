"""The seeded world: a pure function of seed, demo day and size, so every server builds its part alone and all ids agree."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property

from lockkeep_servers.kit.world import (
    demo,
    history,
    invoices,
    messages,
    papers,
    parcels,
    payments,
    sales,
    shop,
    tickets,
)
from lockkeep_servers.kit.world.bills import Vendor
from lockkeep_servers.kit.world.days import Meeting, meetings
from lockkeep_servers.kit.world.demo import Listing
from lockkeep_servers.kit.world.history import Case
from lockkeep_servers.kit.world.invoices import Invoice, PurchaseOrder
from lockkeep_servers.kit.world.library import Article
from lockkeep_servers.kit.world.messages import Queued, Recipient, Suppressed
from lockkeep_servers.kit.world.papers import Paper
from lockkeep_servers.kit.world.parcels import Shipment
from lockkeep_servers.kit.world.payments import Payment
from lockkeep_servers.kit.world.people import STAFF, Person
from lockkeep_servers.kit.world.places import REPS, Rep
from lockkeep_servers.kit.world.planted import PLANTED
from lockkeep_servers.kit.world.sales import Account, Company, Contact, Deal, Lead
from lockkeep_servers.kit.world.shop import ListPrice, Order, Product
from lockkeep_servers.kit.world.sizes import SIZES
from lockkeep_servers.kit.world.tickets import Ticket

__all__ = ["PLANTED", "SIZES", "World", "build_world"]


@dataclass(frozen=True)
class World:
    """Everything known at the start of the demo day. A part is made when it is first looked at, and only then."""

    seed: int
    day: date
    size: str
    reps: tuple[Rep, ...] = REPS
    staff: tuple[Person, ...] = STAFF

    @cached_property
    def companies(self) -> tuple[Company, ...]:
        return sales.companies(self.seed, self.size)

    @cached_property
    def contacts(self) -> tuple[Contact, ...]:
        return sales.contacts(self.seed, self.size)

    @cached_property
    def leads(self) -> tuple[Lead, ...]:
        return sales.leads(self.seed, self.day, self.size)

    @cached_property
    def deals(self) -> tuple[Deal, ...]:
        return sales.deals(self.seed, self.day, self.size)

    @cached_property
    def accounts(self) -> tuple[Account, ...]:
        return sales.accounts(self.seed, self.day, self.size)

    @cached_property
    def directory(self) -> tuple[Listing, ...]:
        return (*demo.LISTINGS, *(demo.listing_of(company) for company in self.companies))

    @cached_property
    def meetings(self) -> tuple[Meeting, ...]:
        return meetings(self.seed, self.day)

    @cached_property
    def products(self) -> tuple[Product, ...]:
        return shop.products(self.seed, self.day, self.size)

    @cached_property
    def prices(self) -> tuple[ListPrice, ...]:
        return shop.prices(self.seed, self.day, self.size)

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        return shop.orders(self.seed, self.day, self.size)

    @cached_property
    def shipments(self) -> tuple[Shipment, ...]:
        return parcels.shipments(self.seed, self.day, self.size)

    @cached_property
    def tickets(self) -> tuple[Ticket, ...]:
        return tickets.tickets(self.seed, self.day, self.size)

    @cached_property
    def articles(self) -> tuple[Article, ...]:
        return tickets.articles()

    @cached_property
    def payments(self) -> tuple[Payment, ...]:
        return payments.payments(self.seed, self.day, self.size)

    @cached_property
    def vendors(self) -> tuple[Vendor, ...]:
        return invoices.vendors(self.seed, self.day, self.size)

    @cached_property
    def purchase_orders(self) -> tuple[PurchaseOrder, ...]:
        return invoices.purchase_orders(self.seed, self.day, self.size)

    @cached_property
    def invoices(self) -> tuple[Invoice, ...]:
        return invoices.invoices(self.seed, self.day, self.size)

    @cached_property
    def papers(self) -> tuple[Paper, ...]:
        return papers.papers(self.seed, self.day, self.size)

    @cached_property
    def suppressed(self) -> tuple[Suppressed, ...]:
        return messages.suppressed(self.seed, self.day, self.size)

    @cached_property
    def recipients(self) -> tuple[Recipient, ...]:
        return messages.recipients(self.seed, self.day, self.size)

    @cached_property
    def queue(self) -> tuple[Queued, ...]:
        return messages.queue(self.seed, self.day, self.size)

    @cached_property
    def lead_cases(self) -> tuple[Case, ...]:
        return history.lead_cases(self.seed, self.day, self.size)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        return history.cases(self.seed, self.day, self.size)


def build_world(seed: int, day: date, size: str) -> World:
    """Return the world; the same three give the same world, and a larger one only adds."""
    if size not in SIZES:
        raise KeyError(size)
    return World(seed, day, size)
