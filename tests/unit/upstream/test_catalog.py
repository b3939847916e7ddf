"""What a server lists becomes tools only with a manifest, under names every host keeps, and only after a look."""

from dataclasses import replace
from typing import Any

import pytest

from lockkeep.errors import Conflict
from lockkeep.model import Integration, Tool
from lockkeep.upstream import (
    Accepted,
    BadCatalog,
    Change,
    Listed,
    Listing,
    Lock,
    accept,
    bad_names,
    diff,
    live_pins,
    propose,
    read_lock,
    write_lock,
)

CRM = Integration(name="crm", in_process=True)
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}


def listed(name: str, effect: Any = None, **parts: Any) -> Listed:
    said: dict[str, Any] = {"description": "d", "input": SCHEMA, "annotations": {}, **parts}
    return Listed(name=name, effect=effect, **said)


def listing(*tools: Listed) -> Listing:
    return Listing(server="crm-server", version="1", protocol="2026-07-28", tools=tools)


READ, WRITE = {"class": "read"}, {"class": "write", "undo": "none"}
ASSIGN = listed("assign", WRITE)


def accepted(*tools: Listed, integration: Integration = CRM) -> Lock:
    proposal = propose(integration, listing(*tools))
    return accept(Lock(), proposal, proposal.hash)


def test_a_tool_is_everything_the_server_says_under_our_names() -> None:
    proposal = propose(
        replace(CRM, alias={"assignOwner": "assign_owner"}), listing(listed("assignOwner", WRITE))
    )

    (tool,) = proposal.tools
    assert tool == Tool(
        name="crm.assign_owner",
        integration="crm",
        server_name="assignOwner",
        exported="crm_assign_owner",
        title=None,
        description="d",
        input=SCHEMA,
        output=None,
        annotations={},
        effect=WRITE,
        pin=tool.pin,
    )
    assert (proposal.left_out, proposal.reviews, proposal.errors) == ({}, (), ())


def test_tools_that_cannot_be_governed_are_left_out_with_the_reason() -> None:
    proposal = propose(
        CRM,
        listing(
            listed("bare"),
            listed("classless", {"undo": "none"}),
            listed("strange", {"class": "harmless"}),
            listed("text", "read"),
            listed("huge", READ, input={"type": "object", "maximum": 2**60}),
            listed("broken", READ, output={"type": "nonsense"}),
            listed("remote", READ, input={"$ref": "http://127.0.0.1:9/schema"}),
            listed("fine", READ),
        ),
    )

    classless = (
        "its manifest names no class (one of read, note, write, money, customer_visible, irreversible)"
    )
    assert [tool.name for tool in proposal.tools] == ["crm.fine"]
    assert proposal.left_out == {
        "bare": "no manifest",
        "classless": classless,
        "strange": classless,
        "text": classless,
        "huge": "its description has no canonical form (a whole number past 2^53, or broken text)",
        "broken": "its output schema cannot be used",
        "remote": "its input schema cannot be used",
    }


def test_our_manifest_beats_the_servers_and_one_for_nothing_is_a_review() -> None:
    ours = {"crm": {"assign": {"class": "money"}, "gone": READ}, "billing": {"assign": READ}}

    proposal = propose(CRM, listing(ASSIGN), ours)

    assert [tool.effect for tool in proposal.tools] == [{"class": "money"}]
    assert proposal.reviews == ("REVIEW crm: the manifest describes gone, which the server does not list.",)


@pytest.mark.parametrize(
    ("risk", "hints", "becomes"),
    [
        ("read", {}, "read"),
        ("read", {"readOnlyHint": True}, "read"),
        ("read", {"readOnlyHint": False}, "write"),
        ("read", {"destructiveHint": True}, "write"),
        ("note", {"readOnlyHint": False}, "note"),
        ("note", {"destructiveHint": True}, "write"),
        ("write", {"readOnlyHint": True, "destructiveHint": False}, "write"),
        ("irreversible", {"readOnlyHint": True}, "irreversible"),
    ],
)
def test_annotations_raise_the_class_and_never_lower_it(
    risk: str, hints: dict[str, bool], becomes: str
) -> None:
    proposal = propose(CRM, listing(listed("tool", {"class": risk}, annotations=hints)))

    assert [tool.risk for tool in proposal.tools] == [becomes]
    assert len(proposal.reviews) == (risk != becomes)


def test_names_that_hosts_cut_change_or_mix_up_are_errors_with_a_legal_alias() -> None:
    proposal = propose(
        CRM,
        listing(
            listed("moveStage", WRITE),
            listed("move__all", WRITE),
            listed("move_all", WRITE),
            listed("x" * 40, WRITE),
            listed("search", READ),
        ),
    )

    assert proposal.errors == (
        "crm.moveStage: 'crm_moveStage' is not 1 to 40 of a-z, 0-9 and _. "
        "Write  alias: {moveStage: move_stage}  at crm in gateway.yaml.",
        "crm.move_all and crm.move__all would both be crm_move_all to hosts. "
        "Write  alias: {move_all: move_all_2}  at crm in gateway.yaml.",
        f"crm.{'x' * 40}: 'crm_{'x' * 40}' is not 1 to 40 of a-z, 0-9 and _. "
        f"Write  alias: {{{'x' * 40}: {'x' * 33}}}  at crm in gateway.yaml.",
    )
    aliases = {"moveStage": "move_stage", "move_all": "move_all_2", "x" * 40: "x" * 33}
    again = [listed(name, WRITE) for name in ("moveStage", "move__all", "move_all", "x" * 40, "search")]
    assert propose(replace(CRM, alias=aliases), listing(*again)).errors == ()


def test_names_clash_across_integrations_and_with_the_gateways_own() -> None:
    one = accepted(listed("b_get", READ), integration=Integration(name="a", in_process=True))
    two = propose(Integration(name="a_b", in_process=True), listing(listed("get", READ)))

    with pytest.raises(BadCatalog):
        accept(one, two, two.hash)
    gateway = propose(Integration(name="lockkeep", in_process=True), listing(listed("wait", READ)))
    assert gateway.errors == (
        "lockkeep.wait: names that begin with lockkeep_ are the gateway's own. Rename the integration.",
    )
    assert bad_names(one.tools.values()) == ()


def test_the_lock_is_the_same_text_in_any_order_and_reads_back_whole() -> None:
    title = listed("zeta", READ, title="Grüße", output={"type": "object"})
    lock = accepted(ASSIGN, title)
    other = Integration(name="alpha", in_process=True)
    proposal = propose(other, listing(ASSIGN))
    both = accept(lock, proposal, proposal.hash)
    turned = Lock(
        {name: _turned(both.integrations[name]) for name in sorted(both.integrations, reverse=True)}
    )

    assert write_lock(both) == write_lock(turned)
    assert read_lock(write_lock(both)) == both
    assert list(both.tools) == ["alpha.assign", "crm.assign", "crm.zeta"]
    assert write_lock(Lock()) == '{\n  "format": 1,\n  "integrations": {}\n}\n'


def _turned(accepted: Accepted) -> Accepted:
    return replace(
        accepted, tools={name: accepted.tools[name] for name in sorted(accepted.tools, reverse=True)}
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 1', '"format": 2'),
        ('"class": "write"', '"class": "harmless"'),
        ('"integration": "crm"', '"integration": "billing"'),
        ('"exported": "crm_assign"', '"exported": "crm assign"'),
        ('"input": {', '"input_schema": {'),
        ('"annotations": {}', '"annotations": []'),
        ("}\n}", "}"),
    ],
)
def test_half_a_lock_is_none(old: str, new: str) -> None:
    text = write_lock(accepted(ASSIGN))
    assert old in text
    with pytest.raises(BadCatalog):
        read_lock(text.replace(old, new))


def test_a_diff_names_every_field_that_differs() -> None:
    lock = accepted(
        ASSIGN, listed("drop", READ), listed("kept", READ), listed("old_name", READ, description="same")
    )
    louder = {"class": "write", "undo": "none", "errors": "atomic"}
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    proposal = propose(
        CRM,
        listing(
            listed("assign", louder, input=schema),
            listed("kept", READ),
            listed("new_name", READ, description="same"),
            listed("fresh", WRITE),
        ),
    )

    assert diff(lock, proposal) == [
        Change(
            kind="changed",
            tool="crm.assign",
            details={
                "input.properties.id.type": ("string", "integer"),
                "effect.errors": ("(absent)", "atomic"),
            },
        ),
        Change(kind="removed", tool="crm.drop"),
        Change(kind="added", tool="crm.fresh"),
        Change(
            kind="renamed",
            tool="crm.new_name",
            details={
                "name": ("crm.old_name", "crm.new_name"),
                "server_name": ("old_name", "new_name"),
                "exported": ("crm_old_name", "crm_new_name"),
            },
        ),
    ]
    assert diff(lock, propose(CRM, listing(*[listed(n, READ) for n in ()]))) == [
        Change(kind="removed", tool=name) for name in ("crm.assign", "crm.drop", "crm.kept", "crm.old_name")
    ]


def test_a_server_that_only_changes_its_own_proposal_shows_in_the_diff() -> None:
    ours = {"crm": {"assign": WRITE}}
    before = propose(CRM, listing(ASSIGN), ours)
    after = propose(CRM, listing(listed("assign", READ)), ours)

    assert diff(accept(Lock(), before, before.hash), after) == [
        Change(kind="changed", tool="crm.assign", details={"pin": (before.tools[0].pin, after.tools[0].pin)})
    ]


def test_only_what_was_looked_at_is_accepted() -> None:
    seen = propose(CRM, listing(ASSIGN))
    now = propose(CRM, listing(listed("assign", WRITE, description="other")))

    with pytest.raises(Conflict):
        accept(Lock(), now, seen.hash)
    assert [tool.description for tool in accept(Lock(), seen, seen.hash).tools.values()] == ["d"]


def test_live_pins_are_the_accepted_ones_until_the_server_says_something_else() -> None:
    lock = accepted(ASSIGN, listed("get", READ))
    pins = {tool.server_name: tool.pin for tool in lock.tools.values()}

    same = live_pins(listing(ASSIGN, listed("get", READ), listed("new", READ)), lock.tools.values())
    moved = live_pins(listing(listed("assign", WRITE, title="T")), lock.tools.values())

    assert same == pins
    assert list(moved) == ["assign"]
    assert moved["assign"] != pins["assign"]
