"""The simple form: a policy file's nodes become its form."""

import re

from lockkeep.policy import forms
from lockkeep.policy.positions import Listing, Mapping, Node, Problems, Text, nearest
from lockkeep.policy.reading import ID, Reader, begins, text_of, was_cut

TOP = ("api", "policy", "owner", "description", "applies_to", "read", "tools")
APPLIES = ("agents", "workflows", "everywhere")
ENTRY = ("name", "when", "unless", "say", "fix")
ASKING = ("from", "any_of", "count", "confirm", "expires")
ALLOW = ("roles", "users", "agents", "when")
LIMITING = ("name", "when", "unless", "up_to")
BLOCK = ("allow", "deny", "ask", "limit")
NAME = re.compile(r"[a-z][a-z0-9_]*")
LIMIT = re.compile(
    r"([0-9]{1,9}) +per +(minute|hour|24 hours|7 days|day|week|month)((?: +per +[a-z][a-z0-9_]*)*)"
)
WINDOWS = ("minute", "hour", "24 hours", "7 days", "day", "week", "month")
LONGEST_EXPIRY = 7 * 86400.0


def read(file: str, root: Node, problems: Problems) -> forms.PolicyFile | None:
    """The file's form; None if it is too broken to have one."""
    reader = Reader(root, "a policy file", problems, TOP)
    name = begins(reader, "policy")
    owner = reader.text("owner", needed=True)
    applies = _applies(reader, problems)
    reads = _reads(reader.get("read"), problems)
    blocks = _blocks(reader.get("tools"), problems)
    description = reader.text("description")
    if name is None or owner is None or applies is None:
        return None
    return forms.PolicyFile(
        file=file, name=name, owner=owner, applies=applies, reads=reads, blocks=blocks,
        description=description.text if description else "",
    )  # fmt: skip


def _applies(reader: Reader, problems: Problems) -> forms.Applies | None:
    node = reader.need("applies_to")
    if node is None:
        return None
    inner = Reader(node, "applies_to", problems, APPLIES)
    applies = forms.Applies(
        agents=inner.names("agents"), workflows=inner.names("workflows"), everywhere=inner.flag("everywhere")
    )
    named = inner.get("agents") is not None or inner.get("workflows") is not None
    flag = inner.get("everywhere")
    if applies.everywhere == named and (named or not isinstance(flag, Text) or isinstance(flag.value, bool)):
        inner.complain(
            APPLIES,
            "applies_to names agents or workflows, or says everywhere: true",
            "applies_to: {agents: [NAME]}, or {everywhere: true}",
        )
    return applies


def _reads(node: Node | None, problems: Problems) -> tuple[forms.Read, ...]:
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        problems.add(node.place, f"'read' is {node.kind}; name: integration.tool(arguments) is expected")
        return ()
    if was_cut(node, problems):
        return ()
    found: list[forms.Read] = []
    for name, value in node.entries:
        if not NAME.fullmatch(name.text):
            problems.add(
                name.place,
                f"'{name.text}' is no name for a look-up",
                "a-z, 0-9 and _, beginning with a letter",
            )
        if isinstance(value, Mapping):
            inner = Reader(value, f"look-up '{name.text}'", problems, ("call", "timeout"))
            call, timeout = inner.text("call", needed=True), inner.seconds("timeout")
        else:
            call, timeout = text_of(value, f"look-up '{name.text}'", problems), None
        if call is not None:
            found.append(forms.Read(name=name, call=call, timeout=timeout or 5.0))
    return tuple(found)


def _blocks(node: Node | None, problems: Problems) -> tuple[forms.Block, ...]:
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        problems.add(node.place, f"'tools' is {node.kind}; integration.tool: and its rules are expected")
        return ()
    seen: dict[str, Text] = {}
    found: list[forms.Block] = []
    for key, value in node.entries:
        patterns = tuple(part.strip() for part in key.text.split(",") if part.strip())
        if not patterns:
            problems.add(key.place, "this block names no tool", "write integration.tool:, as in crm.get:")
        for pattern in patterns:
            if pattern in seen:
                problems.add(
                    key.place,
                    f"'{pattern}' stands twice in this file",
                    f"the first one: {seen[pattern].place}",
                    code="duplicate",
                )
            seen[pattern] = key
        found.append(_block(key, patterns, value, problems))
    return tuple(found)


def _block(key: Text, patterns: tuple[str, ...], node: Node, problems: Problems) -> forms.Block:
    inner = Reader(node, f"the block of {key.text}", problems, BLOCK, key.place)
    allow = inner.get("allow")
    counters = {"deny": 0, "ask": 0, "limit": 0}

    def number(kind: str) -> str:
        counters[kind] += 1
        return f"{kind}-{counters[kind]}"

    block = forms.Block(
        key=key,
        patterns=patterns,
        allow=_allow(allow, problems) if allow is not None else None,
        deny=inner.each("deny", lambda item: _deny(item, number("deny"), problems)),
        ask=inner.each("ask", lambda item: _ask(item, number("ask"), problems)),
        limit=inner.each("limit", lambda item: _limit(item, number("limit"), problems)),
    )
    _own_names(block, problems)
    return block


def _own_names(block: forms.Block, problems: Problems) -> None:
    """Shares, answers and tests go by an entry's name, so a block has it once."""
    first: dict[str, forms.Entry] = {"allow": block.allow} if block.allow else {}
    for entry in (*block.deny, *block.ask, *block.limit):
        if entry.name in first:
            message = f"two entries of this block are called '{entry.name}'"
            problems.add(entry.place, message, f"the first one: {first[entry.name].place}", code="duplicate")
        first.setdefault(entry.name, entry)


def _allow(node: Node, problems: Problems) -> forms.Allow:
    if isinstance(node, Text):
        if node.text == "anyone":
            return forms.Allow(name="allow", place=node.place, anyone=True)
        message = f"allow: {node.text} is not understood" if node.text else "'allow' is nothing"
        problems.add(node.place, message, f"write [{node.text or 'ROLE'}] for a role, or anyone")
        return forms.Allow(name="allow", place=node.place)
    if isinstance(node, Listing):
        roles = tuple(text for item in node.items if (text := text_of(item, "a role", problems)))
        if not node.items:
            problems.add(node.place, "an empty allow permits nobody", "name roles, or write anyone")
        return forms.Allow(name="allow", place=node.place, roles=roles)
    inner = Reader(node, "allow", problems, ALLOW)
    if not node.entries:
        problems.add(node.place, "an empty allow permits nobody", "name roles, or write anyone")
    return forms.Allow(
        name="allow", place=node.place, roles=inner.names("roles"), users=inner.names("users"),
        agents=inner.names("agents"), when=inner.some("when"),
    )  # fmt: skip


def _deny(node: Node, number: str, problems: Problems) -> forms.Entry:
    inner = Reader(node, "a deny entry", problems, ENTRY)
    entry = forms.Entry(
        name=_name(inner, number, problems), place=node.place, when=inner.some("when"), unless=inner.some("unless"),
        say=inner.text("say"), fix=inner.text("fix"),
    )  # fmt: skip
    if inner.get("when") is None and inner.get("unless") is None:
        inner.complain(
            ("when", "unless"),
            "a deny entry needs 'when' or 'unless'",
            "to refuse always, leave the tool's allow out",
        )
    return entry


def _ask(node: Node, number: str, problems: Problems) -> forms.Ask:
    inner = Reader(node, "an ask entry", problems, (*ENTRY, *ASKING))
    confirm = inner.text("confirm")
    if confirm is not None and confirm.text != "requester":
        problems.add(confirm.place, "confirm knows only: requester", "write confirm: requester")
    entry = forms.Ask(
        name=_name(inner, number, problems), place=node.place, when=inner.some("when"), unless=inner.some("unless"),
        say=inner.text("say"), fix=inner.text("fix"), each=inner.names("from"), any_of=inner.names("any_of"),
        count=inner.number("count", 1, 5, 1), confirm=confirm is not None, expires=inner.seconds("expires"),
    )  # fmt: skip
    _whom(inner, entry)
    expires = inner.get("expires")
    if expires is not None and entry.expires is not None and entry.expires > LONGEST_EXPIRY:
        problems.add(expires.place, "an approval waits at most 7 days", "write expires: 7 days, or less")
    return entry


def _whom(inner: Reader, entry: forms.Ask) -> None:
    """An ask names somebody, in one way, and counts no fewer people than it names groups."""
    there = {key for key in ("from", "any_of", "confirm") if inner.get(key) is not None}
    if not there or {"from", "any_of"} <= there:
        message = "an ask entry says whom: from: [groups], any_of: [groups], or confirm: requester"
        inner.complain(("from", "any_of", "confirm"), message, "from: one of each group; any_of: of either")
    count = inner.get("count")
    if count is None or {"from", "any_of"} & inner.meant:
        return
    if not {"from", "any_of"} & there:
        inner.problems.add(count.place, "count counts people of from or any_of", "leave count out")
    elif len(entry.each) > 1 and entry.count < len(entry.each):
        message = f"count: {entry.count} is less than the {len(entry.each)} groups, one person from each"
        inner.problems.add(count.place, message, f"write count: {len(entry.each)}, or leave it out")


def _limit(node: Node, number: str, problems: Problems) -> forms.Limit | None:
    if isinstance(node, Mapping):
        inner = Reader(node, "a limit entry", problems, LIMITING)
        text = inner.text("up_to", needed=True)
        name, when, unless = _name(inner, number, problems), inner.some("when"), inner.some("unless")
    else:
        text, name, when, unless = text_of(node, "a limit", problems), number, (), ()
    if text is None:
        return None
    match = LIMIT.fullmatch(text.text.strip())
    if match is None:
        problems.add(text.place, f"the limit '{text.text}' is not understood", _limit_hint(text.text))
        return None
    keys = tuple(key for key in re.split(r" +per +", match[3]) if key)
    return forms.Limit(
        name=name,
        place=text.place,
        when=when,
        unless=unless,
        text=text,
        most=int(match[1]),
        window=match[2],
        keys=keys,
    )


def _limit_hint(text: str) -> str:
    words = text.split(" per ")
    if len(words) > 1 and words[1].strip() not in WINDOWS:
        return nearest(words[1].strip(), WINDOWS).replace("known:", "windows:")
    return "write: 20 per hour per agent"


def _name(inner: Reader, number: str, problems: Problems) -> str:
    name = inner.text("name")
    if name is None:
        return number
    if not ID.fullmatch(name.text):
        problems.add(
            name.place,
            f"'{name.text}' is no name for an entry",
            "a-z, 0-9 and -, beginning with a letter, 2 to 63 characters",
        )
    return name.text
