"""The JSON Schemas of people.yaml, gateway.yaml, manifests and test files."""

from lockkeep.model import RISKS, Json
from lockkeep.policy.cases import casefile
from lockkeep.policy.files import channels, gatewayfile, people
from lockkeep.policy.files.reading import INTEGRATION
from lockkeep.policy.rules import manifest, operations, queue
from lockkeep.policy.schema.policyschema import HOURS
from lockkeep.policy.schema.schemaparts import (
    FLAG,
    IDENTIFIER,
    OBJECT,
    OFFERS,
    REFERENCE,
    SCALAR,
    SPAN,
    TEXT,
    VERSION,
    Part,
    Said,
    by_name,
    closed,
    known,
    known_names,
    names,
    one_of,
)

NAME: Part = {"type": "string", "pattern": f"^{INTEGRATION.pattern}$"}
ZONE: Part = {"type": "string", "examples": ["Europe/Berlin", "UTC"]}
EXPRESSION: Part = {"type": "string", "examples": ["args.id"]}
MOMENT: Part = {"type": "string", "examples": ["2026-11-20T10:00:00+01:00"]}

PERSON: Said = {
    "groups": (known_names("group", empty=True), "The groups this person is in."),
    "accounts": (names(empty=True), "This person's accounts elsewhere, as in crm:rep_7."),
    "manager": (known("person"), "The person whom `manager-of:` asks."),
}
GROUP: Said = {
    "roles": (names(), "The roles the group gives; its own name if this is left out."),
    "hours": (HOURS, "When its people work; requests wait in these hours."),
    "tz": (ZONE, "The time zone of its hours; the gateway's if it is left out."),
}
DUTIES: Said = {
    "activate": (
        known_names("group", empty=True),
        "Groups that bring rules into force, add people and make tokens.",
    ),
    "accept": (known_names("group", empty=True), "Groups that accept the tools of an integration."),
    "promote": (known_names("group", empty=True), "Groups that move a workflow to its next stage."),
    "kill": (known_names("group", empty=True), "Groups that stop calls."),
    "resume": (known_names("group", empty=True), "Groups that let calls run again."),
    "resolve": (
        known_names("group", empty=True),
        "Groups that say what became of a call nobody knows the end of.",
    ),
    "undo": (
        known_names("group", empty=True),
        "Groups that may have calls taken back where no policy says who may.",
    ),
}
PEOPLE: Said = {
    "api": VERSION,
    "people": (by_name(closed(people.PERSON, PERSON)), "Everybody, with their groups."),
    "groups": (
        by_name({"anyOf": [{"type": "null"}, closed(people.GROUP, GROUP)]}),
        "The groups; roles come from nowhere else.",
    ),
    "duties": (closed(people.DUTIES, DUTIES), "Which groups may do what to the gateway itself."),
    "resume_self": (FLAG, "Lets one person lift a switch they threw themselves."),
}

INTEGRATION_: Said = {
    "command": ({"type": "array", "items": TEXT, "minItems": 1}, "The program to start, speaking MCP on stdio; no shell reads it."),
    "env": (by_name(SCALAR), "Variables for the program; secrets as env:NAME or file:PATH."),
    "url": ({"type": "string", "pattern": "^https?://"}, "An MCP server over HTTP."),
    "auth": (
        closed(gatewayfile.AUTH, {"bearer": (REFERENCE, "Where the token stands, never the token itself.")}, "bearer"),
        "How the gateway signs in there.",
    ),
    "in_process": (FLAG, "An installed tool server, inside of the gateway's process."),
    "server": (TEXT, "The installed server's name, if the integration has another one."),
    "alias": (by_name(TEXT), "The server's own tool names, and ours for them."),
    "timeout": (SPAN, "How long one call may take; 30 seconds if it is left out."),
}  # fmt: skip
AGENT: Said = {"owner": (known("person"), "The person who cannot agree to its calls.")}
CHANNEL: Said = {
    "kind": (TEXT, "slack, email, webhook, or what an installed package brings."),
    "about": (names(*channels.ABOUT), "What it is told: approvals, alarms; both if this is left out."),
    "with": (by_name(SCALAR), "What a channel of others needs; secrets as env:NAME or file:PATH."),
    "channel": ({"type": "string", "pattern": f"^{channels.CHANNEL.pattern}$"}, "The id of the Slack channel, as in C0123ABCD."),
    "token": (REFERENCE, "The bot's token, xoxb-…, by reference."),
    "app_token": (REFERENCE, "The app-level token, xapp-…: buttons are heard over Socket Mode, without a public address."),
    "signing_secret": (REFERENCE, "The app's signing secret: buttons are heard at /notify/slack."),
    "api": ({"type": "string", "pattern": "^https?://"}, "Another address of Slack's, as in https://slack-gov.com/api/."),
    "server": ({"type": "string", "pattern": "^smtps?://"}, "The mail server: smtps://USER@HOST:465 or smtp://USER@HOST:587."),
    "from": (TEXT, "The sender, as in Acme <gate@acme.example>."),
    "password": (REFERENCE, "The mail server's password, by reference."),
    "to": (names(), "Addresses; the people who are asked if this is left out."),
    "ca_file": (TEXT, "A file with a certificate of your own that vouches for the other side."),
    "url": ({"type": "string", "pattern": "^https?://"}, "Where the messages are posted."),
    "secret": (REFERENCE, "What each message is signed with, by reference."),
    "allow": (names(), "Private networks it may reach, as in 10.2.0.0/16."),
}  # fmt: skip
CHANNELS: Part = {
    "anyOf": [
        *(
            closed(
                (*channels.COMMON, *keys),
                {**CHANNEL, "kind": (one_of(kind), "What it is.")},
                "kind",
                *channels.NEEDED[kind],
            )
            for kind, keys in channels.KINDS.items()
        ),
        closed(
            (*channels.COMMON, *channels.OTHER),
            {**CHANNEL, "kind": ({**TEXT, "not": {"enum": [*channels.KINDS]}}, CHANNEL["kind"][1])},
            "kind",
        ),
    ]
}
GATEWAY: Said = {
    "api": VERSION,
    "gateway": (IDENTIFIER, "The gateway's name."),
    "time_zone": (ZONE, "The zone of hours, days, weeks and months; UTC if it is left out."),
    "integrations": (
        by_name(closed(gatewayfile.ENTRY, INTEGRATION_, oneOf=[{"required": [key]} for key in ("url", "command", "in_process")]), INTEGRATION.pattern),
        "What stands behind the gateway.",
    ),
    "agents": (by_name(closed(gatewayfile.AGENT, AGENT)), "The agents in front of the gateway."),
    "notify": (by_name(CHANNELS, INTEGRATION.pattern), "Where approvals and alarms are announced."),
    "identity": ({"type": "object", "maxProperties": 0}, "Kept for sign-in by others; API tokens need no word here."),
}  # fmt: skip

OPERATION: Said = {
    "when": (EXPRESSION, "An expression over args and item: the first entry for which it holds is what the call does."),
    "operation": (TEXT, "The operation's name."),
    "class": (one_of(*RISKS), "How grave it is; no graver than its tool."),
    "subject": (EXPRESSION, "What it is about."),
    "amount": (OBJECT, "The money of it: {minor: expression, currency: expression}."),
    "args": (OBJECT, "Its arguments as rules for this operation see them: {name: = expression}."),
    "undo": ({}, "none, or how to take it back."),
    "before": ({}, "Where the answer shows the state before."),
    "simulate": ({}, "What a rehearsed answer looks like."),
    "pii": ({}, "Where personal data stands."),
}  # fmt: skip
QUEUE: Said = {
    "with": (OBJECT, "The arguments that pause it, or let it go on; args.paused says which."),
    "applied": (EXPRESSION, "What shows in the answer that it was done."),
}
TOOL: Said = {
    **OPERATION,
    "operation": (TEXT, "What the tool does, if its name does not say it."),
    "class": (one_of(*RISKS), "How grave a call of it is, from the mildest to the gravest."),
    "amounts": (OBJECT, "Other shapes of money."),
    "idempotency": (OBJECT, "{arg: NAME}: the argument that takes the call's id, so that the server can tell a repeat."),
    "version": ({}, "The argument that takes the expected version."),
    "verify": (OBJECT, "How to find out what became of a write whose answer was lost: {tool, with, applied, not_applied}."),
    "errors": ({}, "atomic: an error means that nothing was applied."),
    "checks": ({}, "Names of checks the server makes itself."),
    "hidden": (names(empty=True), "Arguments the gateway keeps from hosts."),
    "export": (FLAG, "false: for the gateway only, hosts do not see it."),
    "settle_after_s": ({"type": "number", "minimum": 0}, "Seconds before an absence counts as not applied."),
    "queue": (closed(queue.KEYS, QUEUE, "with"), "On the tool that pauses what the server sends later by itself."),
    "operations": (
        {"type": "array", "minItems": 1, "items": closed(sorted(operations.ENTRY), OPERATION, "when", "operation")},
        "What a wide tool does, depending on its arguments.",
    ),
    "each": (EXPRESSION, "The list whose entries `operations` are told from, as `item`."),
    "review": (FLAG, "true: stays closed until a person took this line out."),
}  # fmt: skip
MANIFEST: Said = {
    "api": VERSION,
    "manifest": ({**NAME, OFFERS: "integration"}, "The name of the integration."),
    "description": (TEXT, "What the server is."),
    "servers": ({}, "The servers this manifest was written for."),
    "tools": (by_name(closed(manifest.ENTRY, TOOL, "class")), "The server's tools by its own names."),
}

RESULT: Said = {
    "answer": ({}, "What the tool answers."),
    "shown": ({}, "What the caller is shown of it."),
    "withheld": (FLAG, "Whether the whole answer is kept back."),
    "flagged": (FLAG, "Whether it is marked as suspicious."),
}
GIVEN: Said = {
    "as": (TEXT, "One of callers."),
    "call": (known("tool"), "The tool, integration.tool."),
    "with": (OBJECT, "The arguments; an amount may be written as 50 EUR."),
    "read": (OBJECT, "What the look-ups answer; {error: timeout} is one that failed."),
    "now": (MOMENT, "The time of the call, with its offset."),
    "used": (by_name({}), "How much of a limit is used up, by the rule's id."),
    "run": ({}, "The run the call belongs to."),
    "earlier": ({}, "Calls of the same run that came before."),
    "result": (closed(casefile.RESULT, RESULT), "What the tool answers, and what becomes of it."),
}
CASE: Said = {
    **GIVEN,
    "name": (TEXT, "What must be true."),
    "expect": (
        {"type": "string", "pattern": "^(allowed|denied|asks \\[[^\\]]*\\]|to people( \\[[^\\]]*\\])?)$",
         "examples": ["allowed", "denied", "asks [GROUP]", "to people [GROUP]"]},
        "allowed, denied, asks [every group asked], or to people [groups].",
    ),
    "code": (TEXT, "The denial code."),
    "by": (names(empty=True), "Rules that must have fired, by name or id."),
    "say": (TEXT, "Words that stand in the reason."),
    "args": (OBJECT, "The arguments after changes."),
    "observed": (names(empty=True), "Rules that only observe and would have fired."),
}  # fmt: skip
CALLER: Said = {
    "user": (known("person"), "A person of people.yaml; default: the caller's own name."),
    "roles": (
        known_names("role", empty=True),
        "The caller's roles; default: what people.yaml gives the person.",
    ),
    "agent": (known("agent"), "The agent the caller uses."),
}
TEST: Said = {
    "api": VERSION,
    "test": (IDENTIFIER, "The id of this file."),
    "now": (MOMENT, "The time of every call."),
    "callers": (by_name(closed(casefile.CALLER, CALLER)), "Who calls, by a name that `as` uses."),
    "given": (closed(casefile.GIVEN, GIVEN), "What holds for every case; maps merge key by key."),
    "cases": (
        {"type": "array", "minItems": 1, "items": closed(casefile.CASE, CASE, "name", "expect")},
        "The cases, each with what is expected.",
    ),
}


def schemas() -> dict[str, dict[str, Json]]:
    return {
        "people": closed(people.TOP, PEOPLE, "api"),
        "gateway": closed(gatewayfile.TOP, GATEWAY, "api", "gateway"),
        "manifest": closed(manifest.TOP, MANIFEST, "api", "manifest", "tools"),
        "test": closed(casefile.TOP, TEST, "api", "test", "cases"),
    }
