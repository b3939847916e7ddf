"""The seeded world: a pure function of seed, demo day and size, so every server builds its part alone and all ids agree."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date

from lockkeep_servers.kit.world import demo, sales
from lockkeep_servers.kit.world.places import REPS, Rep

SIZES: Mapping[str, tuple[int, int, int, int]] = {  # companies, contacts, leads, deals
    "small": (12, 12, 12, 6),
    "demo": (48, 60, 40, 24),
    "full": (400, 600, 300, 120),
}
PLANTED: Mapping[str, str] = {
    "lead_above_100k": "led_1",
    "lead_without_email": "led_2",
    "lead_that_instructs": "led_3",
    "lead_of_lookalike_domain": "led_4",
    "lead_of_full_rep": "led_5",
    "company_once": "cmp_1",
    "company_twice": "cmp_2",
    "deal_below_10k": "del_1",
    "rep_full": "rep_10",
    "rep_inactive": "rep_11",
}


@dataclass(frozen=True)
class World:
    """Everything the sales side knows at the start of the demo day."""

    seed: int
    day: date
    reps: tuple[Rep, ...]
    companies: tuple[sales.Company, ...]
    contacts: tuple[sales.Contact, ...]
    leads: tuple[sales.Lead, ...]
    deals: tuple[sales.Deal, ...]
    cases: tuple[sales.Case, ...]
    directory: tuple[demo.Listing, ...]


def build_world(seed: int, day: date, size: str) -> World:
    """Return the world; the same three give the same world, and a larger one only adds."""
    companies_n, contacts_n, leads_n, deals_n = SIZES[size]
    companies = _companies(seed, companies_n)
    leads = _leads(seed, day, leads_n, companies)
    found = (sales.case(seed, lead) for lead in leads)
    return World(
        seed=seed,
        day=day,
        reps=REPS,
        companies=companies,
        contacts=tuple(sales.contact(seed, n, companies[_employer(n)]) for n in range(1, contacts_n + 1)),
        leads=leads,
        deals=_deals(seed, day, deals_n, companies),
        cases=tuple(case for case in found if case is not None),
        directory=(*demo.LISTINGS, *(demo.listing_of(company) for company in companies)),
    )


def _employer(number: int) -> int:
    """Where contact or lead `number` works: an index no world of theirs is too small for."""
    return (number * 7) % max(SIZES["small"][0], number * 5 // 8)


def _companies(seed: int, count: int) -> tuple[sales.Company, ...]:
    made = [sales.company(seed, number) for number in range(1, count + 1)]
    made[0] = replace(
        made[0],
        name="Brightwater Foods GmbH",
        domain="brightwater-foods.example",
        country="DE",
        owner_id="rep_1",
    )
    made[1] = replace(
        made[0], id="cmp_2", name="BRIGHTWATER FOODS Gmbh ", domain="brightwater.example", owner_id="rep_2"
    )
    return tuple(made)


def _leads(seed: int, day: date, count: int, companies: tuple[sales.Company, ...]) -> tuple[sales.Lead, ...]:
    made = [sales.lead(seed, day, n, companies[_employer(n)]) for n in range(1, count + 1)]
    new = {"stage": "new", "owner_id": None, "lost_reason": None}
    made[0] = replace(made[0], value_minor=18_500_000, currency="USD", country="US", **new)
    made[1] = replace(made[1], email=None, **new)
    made[2] = replace(made[2], company=sales.INSTRUCTION, country="DE", **new)
    made[3] = replace(made[3], email="sales@brightvvater-foods.example", country="DE", **new)
    made[4] = replace(made[4], country="GB", stage="contacted", owner_id="rep_10", lost_reason=None)
    return tuple(made)


def _deals(seed: int, day: date, count: int, companies: tuple[sales.Company, ...]) -> tuple[sales.Deal, ...]:
    made = [sales.deal(seed, day, n, companies[_employer(n)]) for n in range(1, count + 1)]
    made[0] = replace(
        made[0], value_minor=750_000, currency="EUR", stage="contract_sent", won_minor=None, lost_reason=None
    )
    return tuple(made)


def cases_csv(world: World) -> str:
    """Return what people did as CSV, for the baseline."""
    text = io.StringIO()
    rows = csv.DictWriter(text, [field.name for field in fields(sales.Case)], lineterminator="\n")
    rows.writeheader()
    rows.writerows(asdict(case) for case in world.cases)
    return text.getvalue()
