"""The manifests that come with lockkeep, against what the vendors' servers were recorded to list."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.policies.room import tool

from lockkeep.model import Json, Tool
from lockkeep.policy.conditions.runtime import is_array
from lockkeep.policy.rules import manifest
from lockkeep.policy.rules.operations import Doing
from lockkeep.policy.rules.vendors import Shipped, fitting, shipped

FILES: Mapping[str, Shipped] = {each.name: each for each in shipped()}
RECORDED: Mapping[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[2] / "vendors").glob("*.json"))
}
READING = {  # what the names of each vendor's reading tools look like; everything else writes
    "atlassian": r"(get|search|fetch|lookup).*|atlassianUserInfo",
    "github": r"(get|list|search)_.+|(issue|pull_request)_read",
    "hubspot": r"hubspot-(get|list|search|batch-read|generate)-.+",
    "hubspot_remote": r"(get|search|discover|query)_.+|tool_guidance",
    "linear": r"(get|list|search|extract)_.+",
    "notion": r"API-(get|retrieve|list)-.+|API-post-search|API-query-data-source",
    "slack": r"slack_(search|read|list|get)_.+",
    "slack_reference": r"slack_(list|get)_.+",
    "stripe": r"(get|list|search)_.+|stripe_api_(search|details|read)|manage_stripe_accounts",
    "stripe_local": r"(list|retrieve|search)_.+",
}
GRAVE = r"(?i)(^|[-_])(merge|delete|cancel)|void|release$"
MARKED_BUT_READING = {
    "API-post-search",
    "API-query-data-source",
}  # Notion says destructive of all that is no GET
EXPRESSIONS = ("subject", "amount", "each", "operations", "pii", "verify", "before")
KNOWN = [name for name, file in FILES.items() if file.servers]


def listed(name: str) -> Mapping[str, Mapping[str, Any]]:
    return {each["name"]: each for each in RECORDED[name]["tools"]}


def left_out(name: str) -> set[str]:
    lines = re.findall(r"^# left out: ([\w, -]+): \S", FILES[name].text, re.MULTILINE)
    return {each.strip() for line in lines for each in line.split(",")}


def entries() -> list[tuple[str, str]]:
    return [(name, own) for name, file in FILES.items() for own in file.entries]


def built(name: str, own: str, schema: Json = None) -> Tool:
    entry = FILES[name].entries[own]
    takes: Json = schema or listed(name)[own]["inputSchema"]
    return tool(
        f"{name}.{own}", str(entry["class"]), takes, **{k: v for k, v in entry.items() if k != "class"}
    )


def test_every_file_has_its_recording_and_every_recording_its_file() -> None:
    assert sorted(FILES) == sorted(RECORDED) == sorted(READING)


@pytest.mark.parametrize("name", FILES)
def test_the_head_says_version_and_source_and_no_place_of_a_machine(name: str) -> None:
    head, _, _ = FILES[name].text.partition("\napi: ")
    recording = json.dumps({**RECORDED[name], "tools": []})

    assert "# Version: " in head
    assert "ource: " in head
    assert RECORDED[name]["source"]
    assert isinstance(RECORDED[name]["schemas"], bool)
    assert not re.search(r"https?:|registry|/(tmp|work|home|root)\b", FILES[name].text + recording)


@pytest.mark.parametrize("name", FILES)
def test_every_tool_of_the_recording_has_an_entry_or_is_named_as_left_out(name: str) -> None:
    assert len(listed(name)) == len(RECORDED[name]["tools"])
    assert listed(name).keys() - FILES[name].entries.keys() <= left_out(name)
    assert FILES[name].entries.keys() <= listed(name).keys()
    assert not left_out(name) & FILES[name].entries.keys()


@pytest.mark.parametrize(("name", "own"), entries())
def test_expressions_fit_the_recorded_schema_and_there_are_none_without_one(name: str, own: str) -> None:
    entry, recorded = FILES[name].entries[own], listed(name)[own]
    if "inputSchema" not in recorded:
        assert not RECORDED[name]["schemas"]
        assert not set(entry) & set(EXPRESSIONS)
        return
    manifest.effects(built(name, own))
    paths = entry.get("pii", [])
    assert is_array(paths)
    assert {str(path).removeprefix("args.") for path in paths} <= recorded["inputSchema"]["properties"].keys()


@pytest.mark.parametrize(("name", "own"), entries())
def test_what_is_no_reading_tool_is_not_class_read_and_never_resent(name: str, own: str) -> None:
    entry, hints = FILES[name].entries[own], listed(name)[own].get("annotations", {})
    reads = entry["class"] == "read"

    assert reads == bool(re.fullmatch(READING[name], own))
    assert hints.get("readOnlyHint", reads) == reads
    assert not (reads and hints.get("destructiveHint")) or own in MARKED_BUT_READING
    assert reads or entry["undo"] == "none"
    assert not entry.keys() & {"idempotency", "errors", "verify"}
    assert not (re.search(GRAVE, own) and not reads) or entry["class"] in ("irreversible", "customer_visible")


@pytest.mark.parametrize("name", ["github", "linear", "notion", "stripe_local"])
def test_what_is_gone_for_good_is_irreversible(name: str) -> None:
    gone = {own for own in FILES[name].entries if re.search(r"(^|[-_])(merge|delete|cancel)[-_]", own)}

    assert gone
    assert {FILES[name].entries[own]["class"] for own in gone} == {"irreversible"}


@pytest.mark.parametrize("name", KNOWN)
def test_the_server_is_known_by_its_name_and_its_tools(name: str) -> None:
    tools, own = list(listed(name)), FILES[name].servers[0]
    found = fitting(own.upper(), tools)

    assert RECORDED[name]["server"]["name"].casefold() == own
    assert found is not None
    assert found.name == name
    assert fitting("a stranger", tools) is None
    assert fitting(own, ["wipe", "send", "transfer"]) is None
    assert fitting(own, [tools[0], "wipe", "send"]) is None
    assert fitting(own, []) is None


def test_a_server_whose_own_name_nobody_recorded_is_not_guessed() -> None:
    assert {name for name, file in FILES.items() if not file.servers} == {
        name for name, recording in RECORDED.items() if recording["server"] is None
    }


@pytest.mark.parametrize("name", FILES)
def test_a_tool_the_file_does_not_know_has_no_entry(name: str) -> None:
    file = FILES[name]

    assert "delete_everything" not in file.entries
    assert file.knows(["delete_everything"]) == 0
    assert file.knows([*listed(name), "delete_everything"]) == len(file.entries)


def test_github_exports_twelve() -> None:
    entries = FILES["github"].entries.values()

    assert len([entry for entry in entries if entry.get("export", True) is True]) == 12
    assert {entry.get("export") for entry in entries} == {None, False}


def test_the_widest_tool_stays_closed_until_a_person_looked_at_it() -> None:
    assert FILES["stripe"].entries["stripe_api_write"]["review"] is True


HUB = "hubspot_remote"
DEAL: Json = {"objectType": "deals", "objectId": "1"}
NOTE: Json = {"objectType": "NOTES"}
NEW: Json = {"objects": [DEAL]}


WIDE: list[tuple[str, str, Mapping[str, Json], str | None, str]] = [
    (HUB, "manage_crm_objects", {"createRequest": {"objects": [DEAL, DEAL]}}, "crm.create_deal", "write"),
    (HUB, "manage_crm_objects", {"updateRequest": {"objects": [DEAL]}}, "crm.update_deal", "write"),
    (HUB, "manage_crm_objects", {"createRequest": {"objects": [NOTE]}}, "crm.create_note", "note"),
    (HUB, "manage_crm_objects", {"updateRequest": {"objects": [NOTE]}}, "crm.update_note", "write"),
    (HUB, "manage_crm_objects", {"createRequest": {"objects": [{"objectType": "0-14"}]}}, "crm.create_object", "customer_visible"),
    (HUB, "manage_crm_objects", {"createRequest": {"objects": [DEAL, NOTE]}}, None, "mixed"),
    (HUB, "manage_crm_objects", {"createRequest": NEW, "updateRequest": NEW}, None, "unknown"),
    (HUB, "manage_crm_objects", {"createRequest": {"objects": []}}, None, "unknown"),
    (HUB, "manage_crm_objects", {"createRequest": {"objects": [{}]}}, None, "unknown"),
    (HUB, "manage_crm_objects", {}, None, "unknown"),
    ("hubspot", "hubspot-batch-update-objects", {"objectType": "Deals", "inputs": []}, "crm.update_deal", "write"),
    ("hubspot", "hubspot-batch-create-objects", {"objectType": "quotes", "inputs": []}, "crm.create_object", "customer_visible"),
    ("stripe", "stripe_api_write", {"stripe_api_operation_id": "PostCustomers"}, "stripe.create_customer", "write"),
    ("stripe", "stripe_api_write", {"stripe_api_operation_id": "DeleteCustomersCustomer"}, "stripe.api_write", "irreversible"),
    ("stripe_local", "update_dispute", {"dispute": "d"}, "stripe.submit_evidence", "irreversible"),
    ("stripe_local", "update_dispute", {"dispute": "d", "submit": True}, "stripe.submit_evidence", "irreversible"),
    ("stripe_local", "update_dispute", {"dispute": "d", "submit": False}, "stripe.stage_evidence", "write"),
    ("notion", "API-update-a-block", {"block_id": "b"}, "notion.delete_block", "irreversible"),
    ("notion", "API-update-a-block", {"block_id": "b", "archived": False}, "notion.update_block", "write"),
    ("notion", "API-patch-page", {"page_id": "p"}, "notion.update_page", "write"),
    ("notion", "API-patch-page", {"page_id": "p", "archived": True}, "notion.delete_page", "irreversible"),
    ("notion", "API-patch-page", {"page_id": "p", "in_trash": True}, "notion.delete_page", "irreversible"),
    ("notion", "API-update-page-markdown", {"page_id": "p", "type": "insert_content"}, "notion.edit_page", "write"),
    ("notion", "API-update-page-markdown", {"page_id": "p", "type": "replace_content"}, "notion.replace_page", "irreversible"),
    ("notion", "API-update-a-data-source", {"data_source_id": "d"}, "notion.rename_data_source", "write"),
    ("notion", "API-update-a-data-source", {"data_source_id": "d", "properties": {}}, "notion.change_data_source", "irreversible"),
    ("linear", "save_issue", {"id": "LIN-1"}, "linear.update_issue", "write"),
    ("linear", "save_issue", {"title": "t", "team": "T"}, "linear.create_issue", "write"),
    ("github", "issue_write", {"method": "create"}, "github.create_issue", "customer_visible"),
    ("github", "issue_write", {"method": "erase"}, None, "unknown"),
    ("github", "pull_request_review_write", {"method": "delete_pending"}, "github.delete_review", "irreversible"),
    ("github", "pull_request_review_write", {"method": "create"}, "github.write_review", "customer_visible"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "own", "arguments", "operation", "risk"), WIDE)
def test_wide_tools_are_told_apart(
    name: str, own: str, arguments: Mapping[str, Json], operation: str | None, risk: str
) -> None:
    wide = manifest.effects(built(name, own)).operations
    assert wide is not None
    found = wide.of(arguments)

    if isinstance(found, Doing):
        assert (found.operation.name, found.operation.risk) == (operation, risk)
    else:
        assert (operation, found.mixed) == (None, risk == "mixed")


def test_a_price_says_its_money_and_a_refund_cannot() -> None:
    price, refund = (
        manifest.effects(built("stripe_local", own)) for own in ("create_price", "create_refund")
    )
    said = price.amount_of({"product": "p", "unit_amount": 1250, "currency": "EUR"})

    assert said is not None
    assert (said.minor, said.currency) == (1250, "EUR")
    assert refund.amount_of({"payment_intent": "pi", "amount": 1250}) is None
    assert refund.subject_of({"payment_intent": "pi"}) == "pi"


def test_repositories_and_issues_are_subjects() -> None:
    merge = manifest.effects(built("github", "merge_pull_request"))
    issue = manifest.effects(built("linear", "save_issue"))

    assert merge.subject_of({"owner": "o", "repo": "r", "pullNumber": 1}) == "o/r"
    assert issue.within("linear.update_issue").subject_of({"id": "LIN-1"}) == "LIN-1"
