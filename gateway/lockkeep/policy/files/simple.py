"""The simple form: a policy file's nodes become its form."""

from lockkeep.policy.files import asking, constants, entries, forms
from lockkeep.policy.files.reading import Reader, begins, text_of, was_cut
from lockkeep.policy.positions import Mapping, Node, Problems, Text

TOP = ("api", "policy", "owner", "description", "applies_to", *entries.AT, "values", "read", "tools")
APPLIES = ("agents", "workflows", "everywhere")
READ = ("call", "with", "timeout", "cache", "on_error")
BLOCK = ("allow", "deny", "people", "ask", "limit", "change", "results", "undo", *entries.AT)
LONGEST_CACHE = 60.0


def read(file: str, root: Node, problems: Problems) -> forms.PolicyFile | None:
    """The file's form; None if it is too broken to have one."""
    reader = Reader(root, "a policy file", problems, TOP)
    name = begins(reader, "policy")
    owner = reader.text("owner", needed=True)
    applies = _applies(reader, problems)
    values = constants.read(reader.get("values"), problems)
    reads = _reads(reader.get("read"), problems)
    blocks = _blocks(reader.get("tools"), problems)
    description, when = reader.text("description"), entries.at(reader)
    if name is None or owner is None or applies is None:
        return None
    return forms.PolicyFile(
        file=file, name=name, owner=owner, applies=applies, reads=reads, blocks=blocks,
        description=description.text if description else "", values=values,
        said_values={each: str(value) for each, value in values.items()}, at=when,
        opening=entries.opening(when, problems),
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
        problems.add(
            node.place,
            f"'read' is {node.kind}; name: integration.tool(arguments) is expected",
            "read: {lead: crm.get(id)}",
        )
        return ()
    if was_cut(node, problems):
        return ()
    found: list[forms.Read] = []
    for name, value in node.entries:
        if not constants.NAME.fullmatch(name.text):
            problems.add(
                name.place,
                f"'{name.text}' is no name for a look-up",
                "a-z, 0-9 and _, beginning with a letter",
            )
        if isinstance(value, Mapping):
            one = _long(name, value, problems)
        else:
            call = text_of(value, f"look-up '{name.text}'", problems)
            one = forms.Read(name=name, call=call) if call is not None else None
        found += [one] if one is not None else []
    return tuple(found)


def _long(name: Text, node: Mapping, problems: Problems) -> forms.Read | None:
    """`{call: tool, with: {…}, timeout, cache, on_error}`."""
    inner = Reader(node, f"look-up '{name.text}'", problems, READ)
    call, timeout = inner.text("call", needed=True), inner.seconds("timeout")
    given, failed = inner.get("with"), inner.get("on_error")
    if call is None:
        return None
    return forms.Read(
        name=name, call=call, arguments=_with(given, problems) if given is not None else None, timeout=timeout or 5.0,
        cache=_cache(inner, problems),
        on_error=asking.inside(failed, "on_error", problems) if failed is not None and not _denies(failed) else None,
    )  # fmt: skip


def _denies(node: Node) -> bool:
    """`on_error: deny` says what would happen anyway."""
    return isinstance(node, Text) and node.text == "deny"


def _cache(inner: Reader, problems: Problems) -> float:
    text = inner.text("cache")
    if text is None or text.text in ("0s", "0"):
        return 0.0
    seconds = inner.seconds("cache") or 0.0
    if seconds > LONGEST_CACHE:
        problems.add(text.place, "an answer is kept for at most 60 seconds", "write cache: 60s, or less")
    return seconds


def _with(node: Node, problems: Problems) -> tuple[tuple[Text, Text], ...]:
    if not isinstance(node, Mapping):
        problems.add(
            node.place, f"'with' is {node.kind}; parameter: value is expected", "with: {id: = lead_id}"
        )
        return ()
    pairs = [(key, text_of(value, f"'{key.text}'", problems)) for key, value in node.entries]
    return tuple((key, text) for key, text in pairs if text is not None)


def _blocks(node: Node | None, problems: Problems) -> tuple[forms.Block, ...]:
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        problems.add(
            node.place,
            f"'tools' is {node.kind}; integration.tool: and its rules are expected",
            "tools: {crm.get: {allow: [ROLE]}}",
        )
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
    inner = Reader(node, f"the block of {key.text}", problems, BLOCK, key.place, form="allow: [ROLE]")
    said, when = inner.get, entries.at(inner)
    counters = {"deny": 0, "people": 0, "ask": 0, "limit": 0}

    def number(kind: str) -> str:
        counters[kind] += 1
        return f"{kind}-{counters[kind]}"

    allow, change, results, undo = said("allow"), said("change"), said("results"), said("undo")
    block = forms.Block(
        key=key,
        patterns=patterns,
        allow=entries.allow(allow, problems) if allow is not None else None,
        deny=inner.each("deny", lambda item: entries.deny(item, number("deny"), problems)),
        people=entries.hands(inner, number),
        ask=inner.each("ask", lambda item: entries.ask(item, number("ask"), problems)),
        limit=inner.each("limit", lambda item: entries.limit(item, number("limit"), problems)),
        change=entries.change(change, problems) if change is not None else (),
        results=entries.results(results, problems) if results is not None else None,
        undo=entries.undo(undo, problems) if undo is not None else None,
        at=when,
        opening=entries.opening(when, problems),
    )
    _own_names(block, problems)
    return block


def _own_names(block: forms.Block, problems: Problems) -> None:
    """Shares, answers and tests go by an entry's name, so a block has it once."""
    first: dict[str, forms.Entry] = {}
    taken = {forms.change_name(change.argument.text) for change in block.change}
    taken |= {name for name, there in (("results", block.results), ("undo", block.undo)) if there is not None}
    for _, entry in block.entries:
        if entry.name in first:
            message = f"two entries of this block are called '{entry.name}'"
            problems.add(entry.place, message, f"the first one: {first[entry.name].place}", code="duplicate")
        first.setdefault(entry.name, entry)
        if entry.name in taken:
            message = f"'{entry.name}' is what this block's own {entry.name.partition('-')[0]} is called"
            problems.add(entry.place, message, "choose another name", code="duplicate")
