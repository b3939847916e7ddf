"""`lockkeep policy explain`: why a call was decided as it was, or how one would be decided now."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.replay import court
from lockkeep.cli.show import AsJson, ago, data, fail, rows, say
from lockkeep.errors import NotFound
from lockkeep.gates.approval import asked
from lockkeep.gates.arguments import Schemas, arguments
from lockkeep.ledger import calls, generations, history, limits
from lockkeep.ledger.history import Past
from lockkeep.model import (
    Deny,
    Divert,
    Json,
    Request,
    RequireApproval,
    Share,
    ToolCall,
    Verdict,
    is_object,
    stamp,
)
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.conditions.runtime import FailedLookup, Value
from lockkeep.policy.engine.course import Taken
from lockkeep.policy.engine.engine import Decision
from lockkeep.policy.engine.lookups import LookUps, by_name
from lockkeep.policy.explain import Explained, full
from lockkeep.policy.replay.recalled import remembered
from lockkeep.policy.replay.replay import at_once
from lockkeep.prepare import known_of, prepare

WAIT = 15.0  # seconds for the servers of look-ups to answer at all
FORM = '{"tool", "arguments", "user", "agent", "read"}'


def explain(
    call: Annotated[str | None, typer.Argument(help="A past call's id, or its beginning.")] = None,
    file: Annotated[Path | None, typer.Option("--call", help=f"A JSON file: {FORM}.")] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="As of now: rules in force, roles, and look-ups made now. Nothing is changed."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Every rule of the tool: fired or not, for whom, and the words that decided."""
    if (call is None) == (file is None):
        fail("name a past call, or give --call FILE")
        raise typer.Exit(2)
    with here() as place:
        past = _past(place, call) if call is not None else None
        found = _then(place, past) if past is not None and not live else _now(place, past, file, live=live)
        record = (
            {"id": past.id, "state": past.state, "code": past.code, "at": stamp(past.at)} if past else None
        )
        if as_json:
            data({"call": record, **found.as_data()})
            return
        for line in found.head():
            say(line)
        rows(
            ("said", "kind", "rule", "why"),
            found.entries,
            False,
            "No rule speaks of this tool, so it is denied.",
        )
        for line in found.tail(lambda at: ago(stamp(at), utc_now())):
            say(line)
        if past is not None:
            say(f"\non record: {past.state}{f', {past.by or past.code}' if past.code else ''}")


# -- as it was ---------------------------------------------------------------------------------------------------


def _past(place: Here, call: str) -> Past:
    row = calls.find(place.store.read, call)
    past = history.one(place.store.read, row["id"])
    if past is None or past.arguments is None:
        raise NotFound(f"the arguments of call {row['id']} are no longer kept")
    return past


def _then(place: Here, past: Past) -> Explained:
    """Under the rules that decided it, with the answers that were read then."""
    tx = place.store.read
    rules = _rules(place, past.generation)
    if past.tool not in rules.tools:
        raise NotFound(f"call {past.id} named a tool nobody accepted: {past.tool}")
    the_court = court()
    call = the_court.prepared(rules, past, past.decided)

    def taken(share: Share) -> int:
        row = tx.one(
            "shares_then", rule=share.rule, key=share.key, since=stamp(share.since), until=stamp(past.entered), call=past.id
        )  # fmt: skip
        return row["taken"] if row else 0

    return anyio.run(partial(
        _explained, call, rules, remembered(past).look_ups(), taken=taken, read_at=past.decided, failed={},
    ))  # fmt: skip


def _rules(place: Here, generation: int) -> PolicySet:
    current = place.rules
    if current is not None and current.generation == generation:
        return current
    stored = generations.get(place.store.read, generation)
    rules, _ = load(stored.files, generation=generation) if stored is not None else (None, [])
    if stored is None or rules is None:
        raise NotFound(f"policy generation {generation} is no longer kept, or does not load in this release")
    return replace(rules, observe_until=stored.observe_until)


# -- as it would be ----------------------------------------------------------------------------------------------


def _now(place: Here, past: Past | None, file: Path | None, *, live: bool) -> Explained:
    """Under the rules in force, at this moment."""
    rules = place.rules
    if rules is None:
        raise NotFound("no policy set is in force; `lockkeep policy activate` first")
    nothing: Mapping[str, Json] = {}
    request, read = (_request(past), nothing) if past is not None else _from_file(file or Path(), rules)
    tool = rules.exported.get(request.tool)
    if tool is None:
        raise NotFound(f"no accepted tool is called {request.tool}")
    call = prepare(request, known_of(rules, tool, rules.people.roles(request.user)))

    def taken(share: Share) -> int:
        return limits.taken(place.store.read, share, call.id)

    if live:
        return anyio.run(partial(_live, place, rules, call, taken))
    given = by_name({name: _as_given(name, said) for name, said in read.items()})
    return anyio.run(
        partial(_explained, call, rules, LookUps(given=given), taken=taken, read_at=None, failed={})
    )


def _as_given(name: str, said: Json) -> Value:
    """An answer as it stands in the file; `{"error": why}` is none."""
    return FailedLookup(name, str(said["error"])) if is_object(said) and set(said) == {"error"} else said


def _request(past: Past) -> Request:
    return Request(
        id=past.id, tool=past.exported, arguments=past.arguments, user=past.user, agent=past.agent, host=past.host,
        at=utc_now(), run=past.run, step=past.step,
    )  # fmt: skip


def _from_file(file: Path, rules: PolicySet) -> tuple[Request, Mapping[str, Json]]:
    try:
        said: Json = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotFound(f"{file} cannot be read as JSON: {type(error).__name__}") from None
    if not is_object(said):
        raise NotFound(f"{file} cannot be read as a call: {FORM}")
    tool, read = rules.tools.get(str(said.get("tool"))), said.get("read", {})
    if tool is None:
        raise NotFound(f"no accepted tool is called {said.get('tool')}")
    if not is_object(read):
        raise NotFound(f"{file} cannot be read as a call: `read` is {{look-up: answer}}")
    request = Request(
        id="call_explained", tool=tool.exported, arguments=said.get("arguments"), user=str(said.get("user", "")),
        agent=str(said.get("agent", "")), host="explain", at=utc_now(),
    )  # fmt: skip
    return request, read


async def _live(place: Here, rules: PolicySet, call: ToolCall, taken: Taken) -> Explained:
    """The look-ups are made now, by connections of this command's own. Only tools that read are ever called."""
    # the gateway's half: only commands that ask servers wait for its imports
    from lockkeep.app import embedded_environment
    from lockkeep.upstream import ReadFailed, Supervisor, Upstream

    wanted = {lookup.tool.partition(".")[0] for lookup in rules.rules_of(call.tool).lookups.values()}
    supervisor = Supervisor(
        [each for name, each in rules.integrations.items() if name in wanted],
        on_change=lambda _: None,
        environ=embedded_environment(place.settings.data),
    )
    upstream, failed = Upstream(supervisor, lambda: rules.tools), dict[str, str]()

    async def look_up(tool: str, arguments: Mapping[str, Json], timeout: float) -> Json:
        found = rules.tools.get(tool)
        try:
            if found is None or not found.reads:
                raise ReadFailed(f"{tool} is no accepted read")
            return await upstream.read(found, arguments, timeout)
        except ReadFailed as error:
            failed[tool] = str(error)
            raise

    async with supervisor.running():
        with anyio.move_on_after(WAIT):
            for name in sorted(wanted & set(rules.integrations)):
                await supervisor.connection(name).tried.wait()
        return await _explained(call, rules, LookUps(look_up), taken=taken, read_at=utc_now(), failed=failed)


async def _explained(
    call: ToolCall,
    rules: PolicySet,
    facts: LookUps,
    *,
    taken: Taken,
    read_at: datetime | None,
    failed: Mapping[str, str],
) -> Explained:
    """Decided as the gate decides: where arguments are cut, the answer for the cut ones stands."""
    decision = await rules.decide(call, facts, taken=taken)
    sent = decision.changed
    if sent is not None:
        decision = await rules.decide(rules.with_arguments(call, sent), facts, taken=taken, changes=False)
    if decision.later is not None:
        observed = await decision.later()
        decision = replace(decision, basis=replace(decision.basis, observed=observed, looked_up=facts.record))
    held = {(share.rule, share.key): taken(share) for share in decision.basis.shares}
    verdict = _with_limits(call, rules, decision, held)
    return Explained(call, rules, decision, verdict, sent, held, failed, read_at)


def _with_limits(
    call: ToolCall, rules: PolicySet, decision: Decision, held: Mapping[tuple[str, str], int]
) -> Verdict:
    """What the gates before and after the rules, and the claim, would make of it."""
    objection = at_once(arguments(call, tool=rules.tools.get, closed=lambda _: None, schemas=Schemas()))
    verdict = objection if isinstance(objection, Deny) else decision.verdict
    if isinstance(verdict, RequireApproval):
        verdict = asked(call, verdict, rules)
    if isinstance(verdict, Deny | Divert):
        return verdict
    return full(decision.basis.shares, held) or verdict
