"""Every lint by its id, in the order of the reference, with what it finds."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "never-fires": "an entry that no call can make fire",
    "always-true": "a condition that holds for every call",
    "hidden-by-deny": "an entry whose calls a deny refuses anyway",
    "contradiction": "conditions of one entry that exclude one another",
    "uncovered-tool": "a tool with rules, or in a workflow, that no allow opens",
    "reaches-beyond": "a file for everybody that narrows what files of other owners allow",
    "guard-gap": "a tool that another file allows past this one's deny",
    "wide-allow": "an allow that reaches tools that write without naming them, or everybody",
    "write-without-limit": "a tool that writes, without a limit",
    "money-without-ask": "a tool that moves money, without anybody who is asked",
    "no-lower-bound": "an amount that may be below zero",
    "one-currency": "a rule in one currency for calls in several",
    "no-undo": "a tool that cannot be undone, and nobody looks before",
    "few-approvers": "an ask that too few people can answer",
    "self-confirm": "an ask that only the requester answers",
    "no-hours": "an ask of a group without working hours, where others have some",
    "stale-observe": "a rule that only observes for more than 30 days",
    "ends-soon": "a rule that ends within 14 days",
    "untyped-lookup": "a look-up whose answer has no schema",
    "unused": "a value, a look-up or a lint comment that nothing uses",
    "untested": "an entry that no test case makes fire",
    "unnamed-reference": "a test that names an entry by its number",
    "no-say": "a deny without words",
    "open-argument": "a step that leaves an argument to the agent or a person",
    "workflow-tools": "a workflow with fewer than 5 or more than 12 tools",
}
