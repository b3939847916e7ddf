"""The selling half of the world: companies, contacts, leads, deals and accounts."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from lockkeep_servers.kit.world import hostile
from lockkeep_servers.kit.world.dice import Dice, drawn
from lockkeep_servers.kit.world.names import FAMILY, FIRST, GIVEN, SECOND, SOURCES
from lockkeep_servers.kit.world.places import (
    COUNTRIES,
    CURRENCY,
    FULL_REP,
    LEGAL_FORM,
    PHONE,
    REPS,
    territory_of,
)
from lockkeep_servers.kit.world.sizes import SIZES, numbers
from lockkeep_servers.kit.world.times import at

DIRTY = (2, 25)  # 8 %
OPEN = ("assigned", "contacted", "qualified")
LEAD_STAGES = ("new", "new", "assigned", "assigned", "contacted", "qualified", "converted", "disqualified")
DEAL_STAGES = (
    "appointment_scheduled", "qualified_to_buy", "presentation", "contract_sent", "closed_won",
    "closed_lost",
)  # fmt: skip


@dataclass(frozen=True)
class Company:
    id: str
    name: str
    domain: str
    country: str
    industry: str
    employees: int
    owner_id: str


@dataclass(frozen=True)
class Contact:
    id: str
    name: str
    email: str
    phone: str
    company_id: str
    country: str
    owner_id: str


@dataclass(frozen=True)
class Lead:
    id: str
    email: str | None
    company: str
    name: str
    country: str | None
    source: str
    employees: int | None
    industry: str | None
    value_minor: int | None
    currency: str | None
    stage: str
    owner_id: str | None
    lost_reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class Deal:
    id: str
    name: str
    company_id: str
    value_minor: int
    currency: str
    stage: str
    owner_id: str
    won_minor: int | None
    lost_reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class Account:
    """What a customer was set up with. Its first days bring a welcome message, and one on day three."""

    id: str  # acc_N of con_N
    customer_id: str
    email: str
    plan: str  # starter | team | business
    status: str  # pending | onboarding_started | active | suspended | closed
    created_at: datetime


def companies(seed: int, size: str) -> tuple[Company, ...]:
    """Return the companies, by number; the first two are one company, entered twice."""
    made = [company(seed, number) for number in numbers(size, "companies")]
    first = {"name": "Brightwater Foods GmbH", "domain": "brightwater-foods.example", "country": "DE"}
    made[0] = replace(made[0], **first, owner_id="rep_1")
    again = {"name": "BRIGHTWATER FOODS Gmbh ", "domain": "brightwater.example", "owner_id": "rep_2"}
    made[1] = replace(made[0], id="cmp_2", **again)
    return tuple(made)


def contacts(seed: int, size: str) -> tuple[Contact, ...]:
    """Return the people we know at companies, by number."""
    known = companies(seed, size)
    return tuple(contact(seed, number, known[_employer(number)]) for number in numbers(size, "contacts"))


def leads(seed: int, day: date, size: str) -> tuple[Lead, ...]:
    """Return the leads, by number; the first five are planted."""
    known = companies(seed, size)
    made = [lead(seed, day, number, known[_employer(number)]) for number in numbers(size, "leads")]
    new = {"stage": "new", "owner_id": None, "lost_reason": None}
    made[0] = replace(made[0], value_minor=18_500_000, currency="USD", country="US", **new)
    made[1] = replace(made[1], email=None, **new)
    made[2] = replace(made[2], company=hostile.COMPANY, country="DE", **new)
    made[3] = replace(made[3], email="sales@brightvvater-foods.example", country="DE", **new)
    made[4] = replace(made[4], country="GB", stage="contacted", owner_id="rep_10", lost_reason=None)
    return tuple(made)


def deals(seed: int, day: date, size: str) -> tuple[Deal, ...]:
    """Return the deals, by number; the first one is planted."""
    known = companies(seed, size)
    made = [deal(seed, day, number, known[_employer(number)]) for number in numbers(size, "deals")]
    made[0] = replace(
        made[0], value_minor=750_000, currency="EUR", stage="contract_sent", won_minor=None, lost_reason=None
    )
    return tuple(made)


def accounts(seed: int, day: date, size: str) -> tuple[Account, ...]:
    """Return the customers' accounts, by number; the first one was opened yesterday."""
    known = contacts(seed, size)
    return tuple(_account(seed, day, number, known[number - 1]) for number in numbers(size, "accounts"))


def _account(seed: int, day: date, number: int, customer: Contact) -> Account:
    dice = Dice(seed, "account", number)
    days = 1 if number == 1 else dice.between(0, 88)
    started = "onboarding_started" if dice.chance(0.8) else "pending"
    return Account(
        id=f"acc_{number}",
        customer_id=customer.id,
        email=customer.email,
        plan=dice.pick(("starter", "starter", "team", "business")),
        status=started if days < 4 else dice.pick(("active",) * 12 + ("suspended", "closed")),
        created_at=at(day, days, -dice.between(5, 400)),
    )


def _employer(number: int) -> int:
    """Where contact or lead `number` works: an index no world of theirs is too small for."""
    return (number * 7) % max(SIZES["small"]["companies"], number * 5 // 8)


def company(seed: int, number: int) -> Company:
    """The number makes the name unique, so domains never clash."""
    dice = Dice(seed, "company", number)
    country, industry = dice.pick(COUNTRIES), dice.pick(tuple(SECOND))
    first = FIRST[number % len(FIRST)]
    second = SECOND[industry][number // len(FIRST) % 3]
    suffix = "" if number < len(FIRST) * 3 else f" {number}"
    name = f"{first} {second}{suffix}"
    domain = f"{name.lower().replace(' ', '-')}-{number}.example"
    return Company(
        f"cmp_{number}",
        f"{name} {LEGAL_FORM[country]}",
        domain,
        country,
        industry,
        _staff(dice),
        _owner(country, dice),
    )


def _staff(dice: Dice) -> int:
    return dice.pick((8, 14, 35, 60, 120, 240, 480, 900, 2500)) + dice.below(7)


def _owner(country: str | None, dice: Dice) -> str:
    territory = territory_of(country)
    able = [rep.id for rep in REPS if territory in rep.territories and rep.active and rep.id != FULL_REP]
    return dice.pick(able or ["rep_1"])


def contact(seed: int, number: int, employer: Company) -> Contact:
    dice = Dice(seed, "contact", number)
    given, family = dice.pick(GIVEN), dice.pick(FAMILY)
    phone = PHONE.get(employer.country, "+1 202 555 01{:02d}").format(dice.below(100))
    email = f"{_ascii(given)}.{_ascii(family)}{number}@{employer.domain}"
    return Contact(
        f"con_{number}", f"{given} {family}", email, phone, employer.id, employer.country, employer.owner_id
    )


def _ascii(name: str) -> str:
    plain = name.lower().translate(str.maketrans("öéíüëß", "oeiues"))
    return "".join(sign for sign in plain if sign.isascii() and sign.isalpha())


def lead(seed: int, day: date, number: int, employer: Company) -> Lead:
    dice = Dice(seed, "lead", number)
    given, family = dice.pick(GIVEN), dice.pick(FAMILY)
    stage = dice.pick(LEAD_STAGES)
    currency = CURRENCY.get(employer.country, "EUR")
    clean = Lead(
        id=f"led_{number}",
        email=f"{_ascii(given)}.{_ascii(family)}.{number}@{employer.domain}",
        company=employer.name,
        name=f"{given} {family}",
        country=employer.country,
        source=dice.pick(SOURCES),
        employees=employer.employees if dice.chance(0.7) else None,
        industry=employer.industry if dice.chance(0.7) else None,
        value_minor=dice.between(8, 900) * 10_000,
        currency=currency,
        stage=stage,
        owner_id=None if stage == "new" else _owner(employer.country, dice),
        lost_reason="No budget this year" if stage == "disqualified" else None,
        created_at=at(day, dice.between(0, 60), dice.below(500)),
    )
    return _dirty(clean, dice) if drawn(seed, "dirty lead", number, *DIRTY) else clean


def _dirty(lead: Lead, dice: Dice) -> Lead:
    """What forms and imports really leave behind."""
    match dice.below(4):
        case 0:
            return replace(lead, email=f" {(lead.email or '').upper()} ")
        case 1:
            return replace(lead, company=lead.company.lower() + "  ")
        case 2:
            return replace(lead, country=None, stage="new", owner_id=None, lost_reason=None)
        case _:
            return replace(lead, name="", industry="n/a", employees=None)


def deal(seed: int, day: date, number: int, buyer: Company) -> Deal:
    dice = Dice(seed, "deal", number)
    stage = dice.pick(DEAL_STAGES)
    value = dice.between(12, 800) * 100_000
    return Deal(
        id=f"del_{number}",
        name=f"{buyer.name}: {dice.pick(('pilot', 'renewal', 'roll-out', 'extension'))}",
        company_id=buyer.id,
        value_minor=value,
        currency=CURRENCY.get(buyer.country, "EUR"),
        stage=stage,
        owner_id=buyer.owner_id,
        won_minor=value if stage == "closed_won" else None,
        lost_reason="Chose another vendor" if stage == "closed_lost" else None,
        created_at=at(day, dice.between(5, 90), dice.below(500)),
    )
