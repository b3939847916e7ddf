"""The JSON Schema of a policy file."""

from lockkeep.model import Json
from lockkeep.policy.files import asking, entries, forms, simple
from lockkeep.policy.files.constants import NAME
from lockkeep.policy.schema.schemaparts import (
    CALL,
    DAY,
    FLAG,
    IDENTIFIER,
    OFFERS,
    SCALAR,
    SPAN,
    TEXT,
    VERSION,
    Part,
    Said,
    by_name,
    closed,
    conditions,
    each,
    known,
    known_names,
    names,
    one_of,
    ref,
    snippet,
    some,
)

LOOK_UP: Part = {**CALL, OFFERS: "read"}
HOURS: Part = {**names(), "examples": ["mon-fri 08:00-18:00", "sat-sun", "not mon-fri 08:00-18:00"]}
LIMIT: Part = {
    "type": "string", "pattern": f" per +({'|'.join(entries.WINDOWS)})( +per +\\S+)* *$",
    "examples": ["20 per hour per agent", "5000 EUR per day", "100 of quantity per week per user"],
}  # fmt: skip
AT: Said = {
    "hours": (HOURS, "When it speaks at all, on the clock of the gateway's zone."),
    "mode": (one_of(*forms.MODES), "observe only notes what would have happened; off says nothing. The weakest of file, block and entry counts."),
    "until": (DAY, "The last day on which it is in force."),
}  # fmt: skip
ENTRY: Said = {
    "name": (IDENTIFIER, "Its own name; the rule's id ends with it, and tests go by it."),
    "when": (conditions(), "It fires if all of these are true."),
    "unless": (conditions(), "What must hold: it fires if some of this is false."),
    "say": (TEXT, "The reason that people and agents read; names in braces are filled in."),
    "fix": (TEXT, "What the agent should do instead."),
    **AT,
}  # fmt: skip
ASKING: Said = {
    "from": (known_names("group"), "One person of each of these groups must agree."),
    "any_of": (known_names("group"), "People of any of these groups must agree."),
    "count": ({"type": "integer", "minimum": 1, "maximum": 5}, "How many people in all."),
    "confirm": (one_of("requester"), "The person behind the agent says yes, too."),
    "expires": (SPAN, "How long people may think, in their working hours; 8 hours if it is left out, at most 7 days."),
    "clock": (one_of("always"), "Counts every hour, not only working hours."),
    "escalate": ({"anyOf": [ref("step"), {"type": "array", "items": ref("step")}]}, "Who may agree, too, after some time."),
    "edit": (names(), "Arguments that those who agree may change."),
    "recheck": (names(), "Facts that are read again before it runs; if one moved, the agreement is void."),
    "reason": (one_of("required"), "A vote needs words."),
    "slack_up_to": ({"type": "string", "examples": ["200 EUR", "all"]}, "Up to which amount people may agree in Slack."),
}  # fmt: skip
STEP: Said = {
    "after": (SPAN, "How long after the request."),
    "to": (known_names("group"), "The groups that may agree from then on, too."),
}
ALLOW: Said = {
    "roles": (known_names("role"), "Roles of the person behind the agent."),
    "users": (known_names("person"), "People by name."),
    "agents": (known_names("agent"), "Agents by name."),
    "when": (conditions(), "A condition on the caller, never on the arguments."),
    **AT,
}
LIMITING: Said = {
    **ENTRY,
    "up_to": (LIMIT, "How many calls, or how much of a field, in what time, for whom."),
    "ask": (ref("asking"), "Who may let it pass when the limit is full."),
    "people": (known_names("group"), "The groups that take over when the limit is full."),
}
RESULTS: Said = {
    "hide": (names(), "Fields of the answer that nobody is shown."),
    "detect": (names(*entries.DETECT), "Personal data and secrets that are masked wherever they stand in the answer."),
    "withhold": (conditions(), "Keeps the whole answer back if this holds; `result` is the answer."),
    "flag": (conditions(), "Marks the answer as suspicious if this holds."),
    **AT,
}  # fmt: skip
UNDO: Said = {
    "who": (known_names("role"), "The roles that may take it back."),
    "within": (SPAN, "How long it can be taken back."),
    "ask": (ref("asking"), "Who must agree to that."),
}
BLOCK: Said = {
    "allow": (
        {
            "anyOf": [
                {"const": "anyone"},
                {"type": "array", "items": known("role"), "minItems": 1},
                ref("allow"),
            ]
        },
        "Who may use the tool: anyone, roles, or more; a tool without it is refused.",
    ),
    "deny": (each("deny"), "When a call is refused."),
    "people": (each("hand"), "When the agent stops and people take over."),
    "ask": (each("ask"), "When people must agree first."),
    "limit": (
        {"anyOf": [LIMIT, ref("limit"), {"type": "array", "items": {"anyOf": [LIMIT, ref("limit")]}}]},
        "How many calls, or how much money, in what time, for whom.",
    ),
    "change": (
        by_name(
            {"type": "string", "pattern": "^ *at_most +\\S", "examples": ["at_most 15", "at_most 50 EUR"]}
        ),
        "Arguments that are cut to a maximum.",
    ),
    "results": (ref("results"), "What of the answer is shown."),
    "undo": (ref("undo"), "Who may take it back, and how long."),
    **AT,
}
READ: Said = {
    "call": (LOOK_UP, "integration.tool(arguments), or the tool alone beside `with`."),
    "with": (by_name(SCALAR), "Parameter and value; a text that begins with = is a condition."),
    "timeout": (SPAN, "How long to wait for the answer."),
    "cache": ({"anyOf": [SPAN, one_of("0", "0s", 0)]}, "How long an answer is kept, at most 60 seconds."),
    "on_error": ({"anyOf": [one_of("deny"), ref("asking")]}, "What happens if it cannot be read: refused, or these people are asked."),
}  # fmt: skip
APPLIES: Said = {
    "agents": (known_names("agent"), "Calls of these agents."),
    "workflows": (known_names("workflow"), "Calls in runs of these workflows."),
    "everywhere": (FLAG, "All calls."),
}
VALUE: Part = {
    "anyOf": [
        SCALAR,
        {"type": "array", "items": SCALAR, "minItems": 1},
        by_name({"type": "number"}, "[A-Z]{3}"),
    ],
}
TOP: Said = {
    "api": VERSION,
    "policy": (IDENTIFIER, "The id of this file; rule ids begin with it."),
    "owner": (known("group"), "The group that answers for this file."),
    "description": (TEXT, "What the file is for."),
    "applies_to": (closed(simple.APPLIES, APPLIES), "Whose calls this file speaks about; it says nothing about others."),
    "values": (by_name(VALUE, NAME.pattern), "Numbers, texts, lists, amounts, durations and tables of amounts with a name."),
    "read": (by_name({"anyOf": [LOOK_UP, ref("read")]}, NAME.pattern), "Facts the gateway looks up by itself; it does not believe the agent."),
    "tools": (
        {**by_name(ref("block")), OFFERS: "block", "defaultSnippets": [snippet("a tool", {"${1:integration.tool}": {"allow": ["${2:ROLE}"]}}, "A tool and who may use it.")]},
        "A block for each tool, integration.tool; several with commas, * after the dot, @read for all that read.",
    ),
    **AT,
}  # fmt: skip


def schema() -> Part:
    body = closed(simple.TOP, TOP, "api", "policy", "owner", "applies_to")
    return {**body, "$defs": _definitions()}


def _definitions() -> dict[str, Json]:
    who = some("from", "any_of", "confirm")
    return {
        "asking": closed(asking.KEYS, ASKING, anyOf=who),
        "step": closed(asking.STEP, STEP, "after", "to"),
        "allow": closed(entries.ALLOW, ALLOW, minProperties=1),
        "deny": closed(
            entries.ENTRY, ENTRY, anyOf=some("when", "unless", "hours"), defaultSnippets=_refusals()
        ),
        "ask": closed(
            (*entries.ENTRY, *asking.KEYS), {**ENTRY, **ASKING}, anyOf=who, defaultSnippets=_questions()
        ),
        "hand": closed(
            entries.PEOPLE, {**ENTRY, "to": (known_names("group"), "The groups that take over.")}, "to"
        ),
        "limit": closed(entries.LIMITING, LIMITING, "up_to"),
        "results": closed(entries.RESULTS, RESULTS, anyOf=some("hide", "detect", "withhold", "flag")),
        "undo": closed(entries.UNDO, UNDO),
        "block": closed(simple.BLOCK, BLOCK),
        "read": closed(simple.READ, READ, "call"),
    }


def _refusals() -> list[Json]:
    body = {"name": "${1:its-name}", "when": "${2:CONDITION}", "say": "${3:The reason.}"}
    return [snippet("refuse", body, "Refuses a call, with a reason.")]


def _questions() -> list[Json]:
    body = {"name": "${1:its-name}", "when": "${2:amount > 100 EUR}", "from": ["${3:GROUP}"]}
    return [snippet("ask", body, "Asks people first.")]
