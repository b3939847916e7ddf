"""The seeded world: the same seed, the same bytes; all ids agree; nothing in it is real (TS6)."""

import csv
import io
import re
from dataclasses import asdict
from datetime import date
from importlib.resources import files

from lockkeep_servers.kit.money import minor_units
from lockkeep_servers.kit.world import PLANTED, build_world, cases_csv
from lockkeep_servers.kit.world.days import meetings
from lockkeep_servers.kit.world.demo import COLUMNS, DEMO_LEADS, LISTINGS, leads_csv
from lockkeep_servers.kit.world.places import REPS, territory_of

DAY = date(2027, 3, 1)
RESERVED = re.compile(r"(.*\.)?(example|example\.(com|net|org))")


def test_the_same_seed_day_and_size_give_the_same_world() -> None:
    assert build_world(42, DAY, "demo") == build_world(42, DAY, "demo")
    assert meetings(42, DAY) == meetings(42, DAY)
    assert build_world(43, DAY, "demo") != build_world(42, DAY, "demo")


def test_a_larger_world_only_adds() -> None:
    small, full = build_world(42, DAY, "small"), build_world(42, DAY, "full")

    for part in ("companies", "contacts", "leads", "deals"):
        have = getattr(full, part)
        assert tuple(getattr(small, part)) == have[: len(getattr(small, part))]
    assert (len(full.contacts), len(full.leads), len(full.reps)) == (600, 300, 12)


def test_every_id_resolves_and_what_is_planted_is_there() -> None:
    world = build_world(42, DAY, "full")
    reps = {rep.id for rep in world.reps}
    ids = reps | {
        one.id for part in (world.companies, world.contacts, world.leads, world.deals) for one in part
    }

    assert {lead.owner_id for lead in world.leads} - {None} <= reps
    assert {contact.company_id for contact in world.contacts} <= ids
    assert {case.lead_id for case in world.cases} <= ids
    assert set(PLANTED.values()) <= ids
    assert {meeting.calendar for meeting in meetings(42, DAY)} == reps


def test_about_one_lead_in_twelve_is_dirty_and_one_case_in_sixteen_a_mistake() -> None:
    world = build_world(42, DAY, "full")
    dirty = [lead for lead in world.leads if lead.country is None or not lead.name or lead.company != lead.company.strip() or lead.email != (lead.email or "").strip()]  # fmt: skip
    mistakes = [case for case in world.cases if case.label == "mistake"]

    assert 0.04 < len(dirty) / len(world.leads) < 0.13
    assert 0.02 < len(mistakes) / len(world.cases) < 0.11
    assert cases_csv(world).count("\n") == len(world.cases) + 1


def test_mail_addresses_and_phones_are_reserved_ones() -> None:
    world = build_world(42, DAY, "full")
    mails = [
        *(rep.email for rep in REPS),
        *(c.email for c in world.contacts),
        *(lead.email for lead in world.leads if lead.email),
    ]
    domains = [mail.strip().lower().partition("@")[2] for mail in mails] + [
        one.domain for one in world.directory
    ]

    assert [domain for domain in domains if not RESERVED.fullmatch(domain)] == []
    assert {contact.phone.rsplit(" ", 1)[0] for contact in world.contacts} <= {
        "+1 202 555",
        "+1 613 555",
        "+44 20 7946",
        "+61 2 5550",
        "+353 20 910",
    }


def test_the_lead_file_of_the_demo_is_the_one_we_make() -> None:
    shipped = (files("lockkeep_policies") / "demo" / "leads.csv").read_text(encoding="utf-8")

    assert shipped == leads_csv()


def test_the_lead_file_holds_good_leads_and_one_of_each_problem() -> None:
    rows = list(csv.reader(io.StringIO(leads_csv())))
    good = [lead for lead in DEMO_LEADS if lead.problem is None]
    known = {listing.domain for listing in LISTINGS}

    assert [len(row) for row in rows] == [len(COLUMNS)] * (len(DEMO_LEADS) + 1) + [4]
    assert {lead.domain for lead in good} <= known
    assert len({territory_of(lead.country) for lead in good}) == 7
    assert all(minor_units(lead.value, lead.currency) for lead in good)
    assert [lead.problem for lead in DEMO_LEADS if lead.problem] == [
        "above_100k", "malformed_email", "without_company", "instructs", "duplicate", "no_territory", "value_no_number",
    ]  # fmt: skip
    assert [lead for lead in DEMO_LEADS if lead.problem and not asdict(lead)] == []
