"""`lockkeep approvals stats`: what asking costs people, and what could be asked less."""

from collections.abc import Mapping
from typing import Annotated

import typer

from lockkeep.cli.easing import Advice, advise
from lockkeep.cli.here import Here, here
from lockkeep.cli.replay import Since, replay_calls, start_of, told
from lockkeep.cli.show import AsJson, data, rows, say
from lockkeep.ledger import fatigue
from lockkeep.ledger.fatigue import Load, Toll
from lockkeep.model import Json
from lockkeep.policy.bundle import load
from lockkeep.policy.replay import replayed

RULES = ("rule", "asked", "edited", "denied", "expired", "called_off", "undone", "median_wait_s", "wait_95_s")
PEOPLE = ("person", *RULES[1:], "votes", "share_denied", "median_look_s")


def stats(
    since: Since = "30d",
    suggest: Annotated[
        bool, typer.Option("--suggest", help="What could be asked less, as policy diffs. Applies nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """How often each rule and each person is asked, what came of it, and how long it took."""
    begin = start_of(since)
    with here() as place:
        asks, votes = fatigue.asks(place.store.read, begin), fatigue.votes(place.store.read, begin)
        tolls, loads = fatigue.by_rule(asks), fatigue.by_person(asks, votes, place.people.persons)
        lines = [{"rule": name, **_toll(toll)} for name, toll in tolls.items()]
        persons = [{"person": name, **_load(of)} for name, of in loads.items()]
        rules = place.rules
        advice = advise(tolls, loads, rules) if suggest and rules else []
        replays = [_replayed(place, each, since) for each in advice]
    if as_json:
        found: list[Json] = [
            {
                "kind": each.kind,
                "about": each.about,
                "why": each.why,
                "diff": each.diff or None,
                "replay": counts,
            }
            for each, counts in zip(advice, replays, strict=True)
        ]
        data(
            {
                "since": begin.isoformat(timespec="seconds"),
                "rules": lines,
                "people": persons,
                "suggestions": found,
            }
        )
        return
    rows(RULES, lines, False, "Nobody was asked.")
    rows(PEOPLE, persons, False)
    for each, counts in zip(advice, replays, strict=True):
        _tell(each, counts)
    if suggest:
        say("Nothing was changed." if advice else "The counts support no suggestion.")


def _toll(toll: Toll) -> dict[str, Json]:
    return {
        "asked": len(toll.asks), "edited": toll.number("superseded"), "denied": toll.number("denied"), "expired": toll.number("expired"),
        "called_off": toll.number("cancelled", "revoked"), "undone": toll.undone, "median_wait_s": fatigue.middle(toll.waits),
        "wait_95_s": fatigue.quantile(toll.waits, 0.95),
    }  # fmt: skip


def _load(of: Load) -> dict[str, Json]:
    share = of.denied
    return {
        **_toll(of), "votes": len(of.votes), "share_denied": None if share is None else round(share, 3),
        "median_look_s": fatigue.middle(of.looked),
    }  # fmt: skip


def _replayed(place: Here, advice: Advice, since: str) -> Mapping[str, int] | None:
    """What the change would have said of every recorded call, by what was said then."""
    rules = load(advice.files)[0] if advice.files is not None else None
    if rules is None:
        return None
    report = replay_calls(place.store.read, rules, start_of(since), progress=told)
    changes = {name: len(each) for name, each in replayed.as_data(report)["changes"].items() if each}
    return {"calls": report.calls, "same": report.same, **changes}


def _tell(advice: Advice, counts: Mapping[str, int] | None) -> None:
    say(f"\n{advice.about}: {advice.why}.")
    if advice.diff:
        say(advice.diff)
    if counts is not None:
        said = ", ".join(f"{number:,} {name}" for name, number in counts.items())
        say(f"Replayed: {said}.")
