"""The conformance kit itself: a sound server is gold, and each planted defect is found where it was planted (TS18)."""

from collections.abc import Generator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.fleet.server import SERVICE

from lockkeep_servers.check.cases import Cases, CasesError, Gap
from lockkeep_servers.check.nursery import Nursery
from lockkeep_servers.check.reading import read_cases
from lockkeep_servers.check.results import POINTS, Check, Report, with_gaps
from lockkeep_servers.check.run import check
from lockkeep_servers.check.target import Stores, Target, in_process

FLEET = Path(__file__).parent / "fleet"
ONE_FILE = """
from typing import Literal

from lockkeep_servers.kit import NotFound, Result, Server

server = Server("fleet")
vans = {"van_1": "north"}


class Van(Result):
    id: str
    depot: str


@server.tool(class_="read")
async def get_van(van_id: str) -> Van:
    \"\"\"Read one van.\"\"\"
    if van_id not in vans:
        raise NotFound("van")
    return Van(id=van_id, depot=vans[van_id])


@server.tool(class_="write", undo="none")
async def move_van(van_id: str, depot: Literal["north", "south"]) -> Van:
    \"\"\"Move a van to another depot.\"\"\"
    if van_id not in vans:
        raise NotFound("van")
    vans[van_id] = depot
    return Van(id=van_id, depot=depot)
"""


@pytest.fixture(scope="module")
def nursery() -> Generator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


def fleet() -> tuple[Target, Cases]:
    target = in_process("tests.unit.servers.fleet.server")
    target.stores = Stores(in_memory=True)
    return target, read_cases(FLEET / "conformance.yaml")


async def checked(nursery: Nursery, *points: str, defect: str = "", **changes: Any) -> Report:
    target, cases = fleet()
    settings = {"DEFECT": defect} if defect else {}
    given = replace(cases, settings=settings, **changes)
    return await check(target, given, points=points or tuple(POINTS), nursery=nursery)


@pytest.fixture(scope="module")
async def sound(anyio_backend: str, nursery: Nursery) -> Report:  # the first to ask may be no coroutine
    return await checked(nursery)


async def test_a_sound_server_is_gold(sound: Report) -> None:
    assert (sound.failed, sound.level) == ([], "gold")


DEFECTS = {
    "TC1": ("TC1", "get_van", "budget: description"),
    "TC2": ("TC2", "get_van", "closed code"),
    "TC3": ("TC3", "list_vans", "nothing doubled"),
    "TC4": ("TC4", "move_van", "never a crash"),
    "quotes": ("TC4", "move_van", "quotes nothing"),
    "logs": ("TC4", "", "log"),
    "TC5": ("TC5", "add_van", "same key"),
    "race": ("TC5", "add_van", "sixteen, one effect"),
    "TC6": ("TC6", "add_van", "one effect after the kill"),
    "TC7": ("TC7", "move_van", "stale version"),
    "fence": ("TC7", "move_van", "a fenced key"),
    "TC8": ("TC8", "move_van", "rows as they were"),
    "late": ("TC8", "remove_van", "too late"),
    "TC9": ("TC9", "move_van", "nothing applied"),
    "guess": ("TC9", "move_van", "predicts"),
    "TC10": ("TC10", "move_van", "promise"),
}


@pytest.mark.parametrize("defect", DEFECTS)
async def test_a_planted_defect_is_found_at_its_point(defect: str, nursery: Nursery) -> None:
    point, tool, name = DEFECTS[defect]

    report = await checked(nursery, point, defect=defect)

    assert (tool, name) in {(found.tool, found.name) for found in report.failed}
    assert {found.point for found in report.failed} == {point}
    assert all(found.sentence and found.fix for found in report.failed)
    assert not report.reaches(POINTS[point][0])


def test_every_point_has_a_planted_defect() -> None:
    assert {point for point, _, _ in DEFECTS.values()} == set(POINTS)


MANIFESTS = {
    "moves elsewhere": ("tool: move_van, with", "tool: fly_van, with", "undo names fly_van, which is not listed"),
    "unknown argument": ("reason: undo,", "why: undo, reason: undo,", "move_van takes no why"),
    "no residue": ("      residue: The van stays in the books, removed.\n", "", "undo.residue is missing"),
    "unreadable": ("=before.depot", "=before.depot +", "a value is missing here"),
    "no such field": ("=before.depot", "=before.place", "null is not of type"),
    "no such key": ("idempotency: &key {arg: idempotency_key}", "idempotency: &key {arg: key}", "no argument"),
    "lies about reading": ("get_van: {class: read,", "get_van: {class: money, undo: none,", "destructiveHint"),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFESTS)
async def test_a_manifest_that_a_gateway_could_not_use_fails(
    name: str, tmp_path: Path, nursery: Nursery
) -> None:
    old, new, words = MANIFESTS[name]
    text = (FLEET / "manifest.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "manifest.yaml").write_text(text.replace(old, new), encoding="utf-8")
    target, cases = fleet()
    service = replace(SERVICE, folder=tmp_path)
    target.start = lambda environ, clock, _: service.build(environ, clock)
    target.folder = tmp_path

    report = await check(target, cases, points=["TC1"], nursery=nursery)

    assert words in str([(found.expected, found.got) for found in report.failed])


@pytest.mark.parametrize(("point", "level"), [("TC1", "none"), ("TC5", "bronze"), ("TC8", "silver")])
def test_a_failed_point_lowers_the_level(point: str, level: str, sound: Report) -> None:
    (first, *_), others = sound.of(point, "passed"), [each for each in sound.checks if each.point != point]

    report = replace(sound, checks=[*others, replace(first, state="failed")])

    assert report.level == level
    assert report.reaches("bronze") == (level != "none")
    assert not report.reaches("gold")


async def test_a_server_in_one_file_is_bronze_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "fleet.py"
    file.write_text(ONE_FILE, encoding="utf-8")

    report = await check(in_process(str(file)), Cases())

    assert (report.failed, report.level, report.server) == ([], "bronze", "fleet")
    assert [point for point in POINTS if report.state(point) == "missing"] == [
        "TC5", "TC6", "TC7", "TC8", "TC9", "TC10",
    ]  # fmt: skip


@pytest.mark.parametrize(("defect", "found"), [("", set[str]()), ("TC5", {"TC5"}), ("TC9", {"TC9"})])
async def test_a_back_end_that_cannot_be_looked_into_is_judged_by_what_its_reads_show(
    defect: str, found: set[str], tmp_path: Path, nursery: Nursery
) -> None:
    folders = (str(tmp_path / str(number)) for number in count())
    target = in_process(
        "tests.unit.servers.fleet.server",
        fresh=lambda: {"LOCKKEEP_FLEET_DATA": next(folders), "LOCKKEEP_FLEET_DEFECT": defect},
    )
    _, cases = fleet()

    report = await check(target, cases, points=("TC2", "TC5", "TC8", "TC9"), nursery=nursery)

    assert {each.point for each in report.failed} == found


async def test_a_declared_gap_counts_for_the_adapter_it_is_declared_for(nursery: Nursery) -> None:
    gap = Gap(point="TC7", reason="It has no versions.")

    declared = await checked(nursery, "TC7", defect="TC7", gaps=(gap,))
    elsewhere = await checked(nursery, "TC7", defect="TC7", gaps=(replace(gap, adapter="caldav"),))

    assert (declared.state("TC7"), declared.reaches("silver")) == ("gap", True)
    assert {each.sentence for each in declared.of("TC7", "gap")} == {"It has no versions."}
    assert (elsewhere.state("TC7"), elsewhere.reaches("silver")) == ("failed", False)


def test_a_gap_that_is_no_longer_real_fails(sound: Report) -> None:
    gap = Gap(point="TC7", tool="move_van", reason="It has no versions.")

    found = with_gaps(sound.checks, [gap], "embedded", whole=True)
    of_a_case = with_gaps(sound.checks, [Gap(case="south", reason="Never.")], "embedded", whole=True)
    of_a_sample = with_gaps(sound.checks, [gap], "embedded", whole=False)

    assert [(each.point, each.name) for each in found if each.state == "failed"] == [("TC7", "declared gap")]
    assert [(each.point, each.case) for each in of_a_case if each.state == "failed"] == [("TC1", "south")]
    assert of_a_sample == sound.checks


def test_a_gap_of_a_case_covers_it_in_every_trouble() -> None:
    found = [
        Check(point="TC10", name="truth", state="failed", tool="move_van", case=case, sentence="No.")
        for case in ("south", "south, reset", "south again")
    ]

    covered = with_gaps(found, [Gap(case="south", reason="Never.")], "embedded", whole=True)

    assert [(each.case, each.state) for each in covered] == [
        ("south", "gap"),
        ("south, reset", "gap"),
        ("south again", "failed"),
    ]


async def test_a_writer_without_a_case_and_a_check_without_a_refusal_are_named(nursery: Nursery) -> None:
    _, cases = fleet()
    writes = {name: of for name, of in cases.writes.items() if name != "add_van"}
    refusals = tuple(each for each in cases.refusals if not each.check)

    report = await checked(nursery, "TC1", "TC2", writes=writes, refusals=refusals)

    assert [(each.point, each.tool, each.name) for each in report.failed] == [
        ("TC1", "add_van", "case"),
        ("TC2", "move_van", "every check"),
    ]


@pytest.mark.parametrize(("text", "words"), [
    ("wirtes: {}", "`wirtes` is not known"),
    ("writes: {move_van: [{wiht: {}}]}", r"writes.move_van\[0\]: `wiht` is not known"),
    ("refusals: [{tool: get_van, with: {}}]", "says `code`"),
    ("refusals: [{tool: get_van, code: gone}]", "`gone` is no error code"),
    ("gaps: [{point: TC5}]", "needs a reason"),
    ("gaps: [{reason: so}]", "which point"),
    ("now: 2027-03-01T07:00:00", "with an offset"),
    ("reads: [", "line 1"),
    ("pages: {}", "a list"),
    ("writes: {a: [{case: x}, {case: x}]}", "one name"),
])  # fmt: skip
def test_a_slip_in_the_cases_is_named_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "conformance.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(CasesError, match=words):
        read_cases(file)


def test_cases_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "conformance.yaml"
    file.write_text(
        "reads: [{tool: t, with: {country: NO, at: 2027-03-01T07:00:00Z, on: true}}]", encoding="utf-8"
    )

    (ask,) = read_cases(file).reads

    assert ask.arguments == {"country": "NO", "at": "2027-03-01T07:00:00Z", "on": True}
