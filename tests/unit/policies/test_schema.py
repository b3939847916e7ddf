"""The schemas for editors know exactly the keys that the readers know, and accept what the readers accept."""

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from tests.docs.pages import ROOT, Block, pages
from tests.unit.policies.room import FOLDER, policy
from tests.unit.policies.test_show import EVERYTHING, READ, VALUES

from lockkeep.model import Json
from lockkeep.policy.bundle import read_folder
from lockkeep.policy.cases import casefile
from lockkeep.policy.files import (
    asking,
    channels,
    entries,
    figures,
    gatewayfile,
    people,
    simple,
    triggers,
    workflowfile,
)
from lockkeep.policy.positions import Problems, parse
from lockkeep.policy.rules import manifest, operations, queue
from lockkeep.policy.schema import schema
from lockkeep.policy.schema.offers import Offers, of_folder

SHOWN: list[Block] = [block for page in pages() for block in page.blocks if block.language == "yaml" and block.directive != "not run"]  # fmt: skip
SHIPPED = ROOT / "policies"
STARTER = [path for path in sorted(SHIPPED.rglob("*.yaml")) if path.parent.name != "vendors"]
TOP = {"policy": simple.TOP, "people": people.TOP, "gateway": gatewayfile.TOP, "manifest": manifest.TOP, "test": casefile.TOP, "workflow": workflowfile.TOP}  # fmt: skip
INSIDE: list[tuple[str, str, Sequence[str]]] = [
    ("policy", "$defs/asking", asking.KEYS), ("policy", "$defs/step", asking.STEP), ("policy", "$defs/allow", entries.ALLOW),
    ("policy", "$defs/deny", entries.ENTRY), ("policy", "$defs/ask", (*entries.ENTRY, *asking.KEYS)), ("policy", "$defs/hand", entries.PEOPLE),
    ("policy", "$defs/limit", entries.LIMITING), ("policy", "$defs/results", entries.RESULTS), ("policy", "$defs/undo", entries.UNDO),
    ("policy", "$defs/block", simple.BLOCK), ("policy", "$defs/read", simple.READ), ("policy", "properties/applies_to", simple.APPLIES),
    ("people", "properties/people/additionalProperties", people.PERSON), ("people", "properties/duties", people.DUTIES),
    ("people", "properties/groups/additionalProperties/anyOf/1", people.GROUP),
    ("gateway", "properties/integrations/additionalProperties", gatewayfile.ENTRY), ("gateway", "properties/agents/additionalProperties", gatewayfile.AGENT),
    ("gateway", "properties/integrations/additionalProperties/properties/auth", gatewayfile.AUTH),
    *(("gateway", f"properties/notify/additionalProperties/anyOf/{place}", (*channels.COMMON, *keys))
      for place, keys in enumerate((*channels.KINDS.values(), channels.OTHER))),
    ("manifest", "properties/tools/additionalProperties", manifest.ENTRY),
    ("manifest", "properties/tools/additionalProperties/properties/queue", queue.KEYS),
    ("manifest", "properties/tools/additionalProperties/properties/operations/items", sorted(operations.ENTRY)),
    ("test", "properties/given", casefile.GIVEN), ("test", "properties/cases/items", casefile.CASE),
    ("test", "properties/callers/additionalProperties", casefile.CALLER), ("test", "properties/given/properties/result", casefile.RESULT), ("workflow", "properties/trigger", triggers.TRIGGER),
    ("workflow", "properties/trigger/properties/webhook", triggers.WEBHOOK), ("workflow", "properties/trigger/properties/file", triggers.FILE),
    ("workflow", "properties/steps/anyOf/0", workflowfile.STEP), ("workflow", "properties/steps/anyOf/0/properties/on", workflowfile.ON),
    ("workflow", "properties/sequence/anyOf/0", workflowfile.SEQUENCE), ("workflow", "properties/end_state", workflowfile.END_STATE),
    ("workflow", "properties/truth", workflowfile.TRUTH), ("workflow", "properties/truth/properties/map/anyOf/0", workflowfile.EFFECT),
    ("workflow", "properties/promote", figures.PROMOTE), ("workflow", "properties/promote/properties/shadow", figures.SHADOW),
    ("workflow", "properties/promote/properties/step", figures.NEXT), ("workflow", "properties/pause", figures.PAUSE),
    ("workflow", "properties/baseline", figures.BASELINE), ("workflow", "properties/costs", figures.COSTS), ("workflow", "properties/benefits", figures.BENEFITS),
    *((kind, "", keys) for kind, keys in TOP.items()),
]  # fmt: skip


def at(kind: str, path: str) -> Any:
    found: Any = schema.schema(kind)
    for step in path.split("/") if path else ():
        found = found[int(step) if step.isdigit() else step]
    return found


def kind_of(text: str) -> str | None:
    """What a file says that it is."""
    said = yaml.safe_load(text)
    return next(
        (word for word in ("policy", "workflow", "manifest", "test", "gateway", "people") if word in said),
        None,
    )


def wrong(kind: str, text: str, offers: Offers | None = None) -> list[str]:
    """What an editor would mark. The file is read as the gateway reads it."""
    node = parse("x.yaml", text, Problems())
    assert node is not None
    checker = jsonschema_rs.validator_for(schema.schema(kind, offers))
    return [f"{error.instance_path}: {error.message}" for error in checker.iter_errors(manifest.plain(node))]


@pytest.mark.parametrize(
    ("kind", "path", "keys"), INSIDE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_schema_has_exactly_the_keys_of_its_reader_each_with_a_sentence(
    kind: str, path: str, keys: Sequence[str]
) -> None:
    found = at(kind, path)

    assert sorted(found["properties"]) == sorted(keys)
    assert found["additionalProperties"] is False
    unsaid = [
        key for key, part in found["properties"].items() if not part.get("description", "").endswith(".")
    ]
    assert unsaid == [], (
        f"gateway/lockkeep/policy/*schema*.py: say what {', '.join(unsaid)} is, in one sentence"
    )


def test_every_reader_of_keys_has_its_schema() -> None:
    """A new `Reader(…)` in the policy package brings a list of keys that no editor would know."""
    known = {id(keys) for _, _, keys in INSIDE if isinstance(keys, tuple)}
    modules = {module.__name__.rpartition(".")[2]: module for module in (asking, casefile, entries, figures, gatewayfile, manifest, people, simple, triggers, workflowfile)}  # fmt: skip
    unknown: list[str] = []
    for file, name in readers():
        keys = getattr(modules.get(file), name, None)
        unknown += [f"{file}.{name}"] if keys is None or id(keys) not in known else []
    assert unknown == []
    assert len(set(readers())) > 30


def readers() -> Iterator[tuple[str, str]]:
    """The file and the name of the tuple of every mapping that is read."""
    for path in sorted((ROOT / "gateway" / "lockkeep" / "policy").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_reader = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reader"
            )
            if is_reader and isinstance(node, ast.Call) and isinstance(node.args[3], ast.Name):
                name = node.args[3].id
                if name.isupper():
                    yield path.stem, name


@pytest.mark.parametrize("kind", schema.KINDS)
def test_a_schema_is_one_itself(kind: str) -> None:
    found = schema.schema(kind)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(found)


@pytest.mark.parametrize("path", STARTER, ids=lambda path: path.relative_to(SHIPPED).as_posix())
def test_the_shipped_files_fit_their_schema_and_name_it_for_editors(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    kind = kind_of(text)
    up = "../" if path.parent.name in ("tests", "workflows") else ""

    assert kind is not None
    assert wrong(kind, text) == []
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={up}.schemas/{kind}.json"


def test_the_shipped_manifests_fit_their_schema() -> None:
    folder = SHIPPED / "vendors"
    found = {path.name: wrong("manifest", path.read_text(encoding="utf-8")) for path in folder.glob("*.yaml")}
    assert len(found) > 5
    assert {name: errors for name, errors in found.items() if errors} == {}


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_what_the_pages_show_fits_its_schema(block: Block) -> None:
    kind = kind_of(block.text)
    if kind is not None:  # a page on servers shows other files, too
        assert wrong(kind, block.text) == []


def test_a_policy_that_says_everything_fits_the_schema() -> None:
    assert wrong("policy", policy(EVERYTHING, read=READ).replace("tools:", VALUES + "tools:")) == []
    assert wrong("gateway", FOLDER["gateway.yaml"]) == []
    assert wrong("people", FOLDER["people.yaml"]) == []


REFUND = policy("billing.refund: {allow: [lead], deny: [{when: b}], ask: [{from: [lead]}], limit: {up_to: 5 per hour}, undo: {who: [lead]}}")  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "old", "new"),
    [
        ("policy", REFUND, "owner:", "ownr:"), ("policy", REFUND, "applies_to:", "apply_to:"), ("policy", REFUND, "agents:", "agent:"),
        ("policy", REFUND, "allow:", "alow:"), ("policy", REFUND, "{when: b}", "{wen: b}"), ("policy", REFUND, "from:", "form:"),
        ("policy", REFUND, "up_to:", "upto:"), ("policy", REFUND, "who:", "whom:"), ("policy", REFUND, "{when: b}", "{when: b, mode: observed}"),
        ("policy", REFUND, "5 per hour", "5 per fortnight"), ("policy", REFUND, "lockkeep/v1", "lockkeep/v2"),
        ("policy", REFUND, "{from: [lead]}", "{from: [lead], count: 9}"), ("policy", REFUND, "{when: b}", "{say: no}"),
        ("gateway", FOLDER["gateway.yaml"], "in_process:", "inprocess:"), ("gateway", FOLDER["gateway.yaml"], "env:BILLING", "s3cret"),
        ("gateway", FOLDER["gateway.yaml"], "owner: ana", "ownr: ana"), ("people", FOLDER["people.yaml"], "groups: [support]", "group: [support]"),
        ("people", FOLDER["people.yaml"], "roles:", "role:"),
    ],
)  # fmt: skip
def test_what_is_misspelt_is_marked(kind: str, text: str, old: str, new: str) -> None:
    assert old in text
    assert wrong(kind, text) == []
    assert wrong(kind, text.replace(old, new)) != []


def test_the_written_schemas_are_no_part_of_the_policy_set(tmp_path: Path) -> None:
    for name, text in FOLDER.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = read_folder(tmp_path)

    written = schema.write(tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        f".schemas/{kind}.json" for kind in schema.KINDS
    ]
    assert read_folder(tmp_path) == before
    found: Json = json.loads(written[0].read_text(encoding="utf-8"))
    assert found == schema.schema("policy", of_folder(tmp_path))


# -- the names of one folder --------------------------------------------------------------------------------------


WORKFLOW = """\
api: lockkeep/v1
workflow: routing
description: Every lead has an owner.
owner: lead
agents: [desk]
trigger: {manual: true}
steps:
  - {id: lead, call: 'crm.get(kind="lead", id=subject)'}
"""


@pytest.fixture
def offers(tmp_path: Path) -> Offers:
    (tmp_path / "workflows").mkdir()
    for name, text in {**FOLDER, "workflows/routing.yaml": WORKFLOW}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return of_folder(tmp_path)


def inside(found: Any, path: str) -> Any:
    for step in path.split("/"):
        found = found[int(step) if step.isdigit() else step]
    return found


def test_a_folder_offers_what_it_has(offers: Offers) -> None:
    assert {name: list(found)[:3] for name, found in offers.items()} == {
        "tool": ["billing.fee", "billing.payment", "billing.refund"],
        "block": ["billing.fee", "billing.payment", "billing.refund"],
        "read": ["billing.payment(payment_id)", "crm.get(kind, id)", "crm.owners()"],
        "group": ["finance", "lead", "support"], "role": ["finance", "lead", "support"], "person": ["ana", "bo", "cy"],
        "agent": ["desk", "other"], "integration": ["billing", "crm"], "workflow": ["routing"],
    }  # fmt: skip
    assert "crm.receipt" not in offers["tool"]  # for the gateway only
    assert [name for name in offers["block"] if "@" in name] == ["billing.@read", "crm.@read"]


ONE, MANY = "anyOf/0/anyOf/0/enum", "anyOf/1/items/anyOf/0/enum"


@pytest.mark.parametrize(
    ("kind", "path", "what"),
    [
        ("policy", "properties/owner/anyOf/0/enum", "group"), ("policy", f"properties/applies_to/properties/agents/{MANY}", "agent"),
        ("policy", f"properties/applies_to/properties/workflows/{ONE}", "workflow"),
        ("policy", "properties/read/additionalProperties/anyOf/0/anyOf/0/enum", "read"),
        ("policy", f"$defs/asking/properties/from/{MANY}", "group"), ("policy", f"$defs/ask/properties/any_of/{MANY}", "group"),
        ("policy", f"$defs/hand/properties/to/{MANY}", "group"), ("policy", f"$defs/limit/properties/people/{MANY}", "group"),
        ("policy", "$defs/block/properties/allow/anyOf/1/items/anyOf/0/enum", "role"), ("policy", f"$defs/allow/properties/users/{MANY}", "person"),
        ("policy", f"$defs/undo/properties/who/{MANY}", "role"), ("people", f"properties/people/additionalProperties/properties/groups/{MANY}", "group"),
        ("people", f"properties/duties/properties/kill/{MANY}", "group"),
        ("gateway", "properties/agents/additionalProperties/properties/owner/anyOf/0/enum", "person"),
        ("manifest", "properties/manifest/anyOf/0/enum", "integration"), ("test", "properties/given/properties/call/anyOf/0/enum", "tool"),
        ("test", "properties/callers/additionalProperties/properties/agent/anyOf/0/enum", "agent"),
        ("workflow", f"properties/tools/{MANY}", "tool"), ("workflow", "properties/steps/anyOf/0/properties/call/anyOf/0/enum", "tool"),
    ],
)  # fmt: skip
def test_editors_complete_the_names_of_the_folder(offers: Offers, kind: str, path: str, what: str) -> None:
    found = schema.schema(kind, offers)
    assert inside(found, path) == list(offers[what])
    jsonschema_rs.meta.validate(found)


def test_the_keys_of_tools_are_completed_and_any_other_one_is_as_good(offers: Offers) -> None:
    tools = schema.schema("policy", offers)["properties"]["tools"]
    assert list(tools["properties"]) == list(offers["block"])
    assert set(map(str, tools["properties"].values())) == {str(tools["additionalProperties"])}


def test_nothing_of_that_is_enforced(offers: Offers) -> None:
    """Names from elsewhere, and names to come, are left to `check`: an editor would mark what is only not accepted yet."""
    for path in STARTER:
        text = path.read_text(encoding="utf-8")
        assert wrong(kind_of(text) or "", text, offers) == []
    assert wrong("policy", policy(EVERYTHING, read=READ).replace("tools:", VALUES + "tools:"), offers) == []
    assert wrong("workflow", WORKFLOW, offers) == []
    assert (
        wrong("policy", REFUND.replace("allow:", "alow:"), offers) != []
    )  # and what is misspelt is still marked


def test_a_schema_that_belongs_to_no_folder_names_nothing() -> None:
    assert "x-offers" not in "".join(map(schema.text, schema.KINDS))
    assert "billing.refund" not in schema.text("policy")


@pytest.mark.parametrize("broken", [*FOLDER, "other.yml"])
def test_a_folder_that_is_half_written_offers_what_can_be_read(tmp_path: Path, broken: str) -> None:
    for name, text in {**FOLDER, broken: "{ ["}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = of_folder(tmp_path)
    assert ("group" in found, "agent" in found, "tool" in found) == tuple(
        broken not in (name, "other.yml") for name in ("people.yaml", "gateway.yaml", "catalog.lock.json")
    )
    assert len(schema.write(tmp_path)) == len(schema.KINDS)
