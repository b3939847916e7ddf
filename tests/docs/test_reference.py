"""T2 and T6: what the code knows by name stands in docs/reference, and nothing there is gone from the code."""

import re
from collections.abc import Iterable
from typing import get_args

import pytest
from tests.docs import reference
from tests.docs.pages import page

from lockkeep.ledger.switches import SCOPES
from lockkeep.model import RISKS, ApprovalState, CallState, Outcome, SwitchMode, Verdict
from lockkeep.pipeline import GATES
from lockkeep.policy import lint, windows
from lockkeep.policy.cases import cases
from lockkeep.policy.conditions import functions
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
from lockkeep.policy.rules import manifest
from lockkeep.surface import answers, mcp, offers
from lockkeep.upstream import finding
from lockkeep_servers.kit import service

WORDS = {"Pending": ("pending_approval",), "Ended": ("expired", "cancelled")}
OUTCOMES = [word for kind in get_args(Outcome) for word in WORDS.get(kind.__name__, (kind.__name__.lower(),))]
VERDICTS = [kind.__name__ for kind in get_args(Verdict)]
WINDOWS = (*windows.SLIDING, "day", "week", "month")
RETRIES = re.compile(r"`(no|changed|later)`|`after:TIME`")
TABLES = [
    ("denial-codes.md", "Codes", reference.denial_codes()),
    ("settings.md", "The tool servers", [f"_{key}" for key in service.KEYS]),
    ("settings.md", "The client", reference.variables("clients", r"env\.get")),
    (
        "settings.md",
        "The command line",
        {*reference.variables("gateway/lockkeep/cli", r"environ\.get"), "NO_COLOR"},
    ),
    ("states.md", "Gates", (*GATES, "approval")),
    ("states.md", "Verdicts", VERDICTS),
    ("states.md", "States of a call", get_args(CallState)),
    ("states.md", "States of an approval", get_args(ApprovalState)),
    ("states.md", "Outcomes as hosts see them", OUTCOMES),
    ("states.md", "Switches", get_args(SwitchMode)),
    ("states.md", "Scopes of a switch", SCOPES),
    ("wire.md", "Gateway tools", (offers.WAIT.name, offers.STATUS.name)),
    ("wire.md", "Keys in _meta", (*mcp.META.values(), answers.CALL, "lockkeep/effect")),
    ("audit-events.md", "What verify finds", reference.kinds_of_tampering()),
    ("manifests.md", "Classes", RISKS),
    ("manifests.md", "Keys of an entry", manifest.ENTRY),
    ("manifests.md", "What the scan finds", finding.MEANING),
    ("policy-files.md", "A policy file", simple.TOP),
    ("policy-files.md", "A tool block", simple.BLOCK),
    ("policy-files.md", "An entry", entries.ENTRY),
    ("policy-files.md", "Asking people", asking.KEYS),
    ("policy-files.md", "Results", entries.RESULTS),
    ("policy-files.md", "Windows of a limit", WINDOWS),
    ("policy-files.md", "Functions", (*functions.FUNCTIONS, *functions.METHODS)),
    ("policy-files.md", "A case", cases.CASE),
    ("policy-files.md", "A caller", cases.CALLER),
    ("policy-files.md", "A result", cases.RESULT),
    ("lint.md", "The lints", lint.KINDS),
    ("policy-files.md", "An integration", gatewayfile.ENTRY),
    ("policy-files.md", "Channels", (*channels.COMMON, *channels.OTHER)),
    ("policy-files.md", "Slack", channels.SLACK),
    ("policy-files.md", "E-mail", channels.EMAIL),
    ("policy-files.md", "Webhook", channels.WEBHOOK),
    ("policy-files.md", "Duties", people.DUTIES),
    ("workflow-files.md", "A workflow file", workflowfile.TOP),
    ("workflow-files.md", "A trigger", triggers.TRIGGER),
    ("workflow-files.md", "A step", workflowfile.STEP),
    ("workflow-files.md", "An entry of sequence", workflowfile.SEQUENCE),
    ("workflow-files.md", "An end state", workflowfile.END_STATE),
    ("workflow-files.md", "A truth", workflowfile.TRUTH),
    ("workflow-files.md", "An entry of map", workflowfile.EFFECT),
    ("workflow-files.md", "Promotion", (*figures.PROMOTE, *figures.SHADOW, *figures.NEXT)),
    ("workflow-files.md", "Pause", figures.PAUSE),
    ("workflow-files.md", "Baseline", figures.BASELINE),
    ("workflow-files.md", "Costs", figures.COSTS),
    ("workflow-files.md", "Benefits", figures.BENEFITS),
]


@pytest.mark.parametrize(
    ("name", "heading", "there"), TABLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_table_of_the_reference_has_exactly_the_rows_of_the_code(
    name: str, heading: str, there: Iterable[str]
) -> None:
    said = page(f"docs/reference/{name}").table(heading)

    wrong = reference.difference(said, there, f"docs/reference/{name}, {heading}")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("name", list(reference.MADE))
def test_the_made_part_of_a_page_is_fresh(name: str) -> None:
    text, made = page(name).text, reference.MADE[name]()
    said = text.partition(reference.BEGIN)[2].partition(reference.END)[0]

    wrong = [f"{name}: add  {line}" for line in made.splitlines() if line not in said]
    wrong += [
        f"{name}: is not in the code (any more)  {line}" for line in said.splitlines() if line not in made
    ]
    assert wrong == [], "\n".join([*wrong, "Or run: python -m tests.docs.reference --write"])
    assert text == reference.with_made_part(text, made), "Run: python -m tests.docs.reference --write"


def test_every_lint_says_what_it_finds_as_the_code_does() -> None:
    said = page("docs/reference/lint.md").table("The lints")

    assert {kind: cells[1] for kind, cells in said.items() if kind in lint.KINDS} == dict(lint.KINDS)
    assert [kind for kind, cells in said.items() if len(cells) != 4 or not all(cells)] == []


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    said = page("docs/reference/settings.md").table("The gateway")
    there = reference.settings()

    wrong = reference.difference(said, there, "docs/reference/settings.md, The gateway")
    wrong += [
        f"docs/reference/settings.md: the default of {name} is `{default}`"
        for name, default in there.items()
        if name in said and said[name][1].strip("`") != (default or "none")
    ]
    assert wrong == [], "\n".join(wrong)


def test_every_denial_code_says_when_to_try_again_and_says_it_as_the_code_does() -> None:
    said = page("docs/reference/denial-codes.md").table("Codes")
    wrong = [
        f"docs/reference/denial-codes.md: {code} is written with retry={word}, the row says {said[code][1]}"
        for code, words in reference.denial_codes().items()
        for word in sorted(words)
        if code in said and f"`{word}`" not in said[code][1]
    ]

    assert wrong == [], "\n".join(wrong)

    assert [code for code, cells in said.items() if not RETRIES.match(cells[1]) or len(cells[2]) < 10] == []


def test_the_sentence_that_lists_the_gates_is_the_list_of_the_pipeline() -> None:
    text = page("docs/explanation/life-of-a-call.md").text
    sentences = re.findall(r"A call passes these gates, in this order: (.+?)\.\n", text)

    assert [re.findall(r"`(\w+)`", sentence) for sentence in sentences] == [[*GATES, "approval"]]
