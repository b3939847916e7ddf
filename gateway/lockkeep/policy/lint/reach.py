"""Who is let in, and past what: tools nobody may use, wide allows, guards that others walk around."""

from collections.abc import Iterator

from lockkeep.policy.lint.material import Finding, Material, Said, covers, named, place_of
from lockkeep.policy.rules.rule import Rule


def reaching(material: Material) -> Iterator[Finding]:
    yield from _uncovered(material)
    yield from _uncovered_in_runs(material)
    yield from _beyond(material)
    yield from _gaps(material)
    yield from _wide(material)


def _uncovered(material: Material) -> Iterator[Finding]:
    """A tool named on its own, with rules that nobody ever meets. A glob may cover more than is allowed."""
    allowed = {tool for said in material.of_kind("allow") for tool in said.rules}
    for file, block in material.blocks:
        if not [kind for kind, _ in block.entries if kind != "allow"]:
            continue
        for tool in block.patterns:
            if tool in material.rules.tools and tool not in allowed:
                message = f"no file allows {tool}, so every call is refused and these rules decide nothing"
                yield Finding(
                    kind="uncovered-tool", place=block.key.place, message=message,
                    hint="add allow: [ROLE], or take the block out", rule=f"{file.name}/{block.key.text}",
                )  # fmt: skip


def _uncovered_in_runs(material: Material) -> Iterator[Finding]:
    """A workflow's tool that its agents may not use."""
    for workflow in material.rules.workflows.values():
        for tool in workflow.tools:
            allows = [rule for rule in material.rules.rules_of(tool).rules if rule.kind == "allow"]
            shut = [
                agent
                for agent in workflow.agents
                if not any(rule.applies.to(agent, workflow.name) for rule in allows)
            ]
            if shut:
                message = f"the workflow calls {tool}, and no file allows it to {named(shut)}"
                yield Finding(
                    kind="uncovered-tool", place=workflow.place, message=message,
                    hint=f"allow {tool} in a policy that applies to the workflow or its agents",
                )  # fmt: skip


def _beyond(material: Material) -> Iterator[Finding]:
    """A file for everybody that narrows what files of other owners allow."""
    owners = {file.name: file.owner.text for file in material.files}
    for file in material.files:
        own = [said for said in material.said if said.file is file and said.kind != "allow"]
        if not file.applies.everywhere or not own:
            continue
        tools = {tool for said in own for tool in said.enforced}
        touched = {
            (each.file.name, owners[each.file.name])
            for each in material.of_kind("allow")
            if owners[each.file.name] != file.owner.text and tools & each.enforced.keys()
        }
        if touched:
            whom = ", ".join(f"{name} (of {owner})" for name, owner in sorted(touched))
            at = place_of(material.nodes[file.file], "applies_to") or file.owner.place
            message = f"this file speaks about every call, and so about tools that {whom} allows, too"
            hint = "tell their owners; or name agents or workflows in applies_to"
            yield Finding(kind="reaches-beyond", place=at, message=message, hint=hint)


def _gaps(material: Material) -> Iterator[Finding]:
    """A guard on what others allow, for some callers of a writing tool, and a file that allows it to callers beyond.

    A deny beside an allow of its own file says what that file's own agents may do, and guards nothing else.
    """
    for said in material.of_kind("deny"):
        gaps: dict[str, list[str]] = {}
        for tool, rule in said.enforced.items():
            rules = material.about(tool)
            own = any(each.kind == "allow" and each.file == rule.file for each in rules)
            if own or material.risk(tool) == "read":
                continue
            for allow in rules:
                if allow.kind == "allow" and allow.mode == "enforce" and _walks_around(allow, rule, rules):
                    gaps.setdefault(allow.file, []).append(tool)
        for other, tools in sorted(gaps.items()):
            message = f"{other} allows {named(tools)} to callers whom this deny does not reach"
            hint = "put the guard into a file with applies_to: {everywhere: true}, or into that one, too"
            yield said.finding("guard-gap", message, hint)


def _walks_around(allow: Rule, deny: Rule, rules: list[Rule]) -> bool:
    """Whether it lets somebody through whom neither this deny nor one with the same words stops."""
    if allow.file == deny.file or covers(deny.applies, allow.applies):
        return False
    same = [
        rule for rule in rules if rule.kind == "deny" and rule.mode == "enforce" and rule.words == deny.words
    ]
    return not any(covers(rule.applies, allow.applies) for rule in same)


def _wide(material: Material) -> Iterator[Finding]:
    """An allow that reaches tools that write without naming them, or everybody there is."""
    for said, writers in material.allows():
        reached = [name for name in writers if not _is_named(name, said)]
        allow = said.block.allow
        if reached:
            message = f"this allow reaches {named(reached)}, and every tool that will match later"
            hint = "name the tools that write, each in its block"
            yield said.finding("wide-allow", message, hint)
        elif allow is not None and allow.anyone and said.file.applies.everywhere:
            message = (
                f"everybody may use {named(writers)}: this file applies everywhere, and 'anyone' is anyone"
            )
            yield said.finding("wide-allow", message, "name roles, or agents in applies_to")


def _is_named(tool: str, said: Said) -> bool:
    return tool in said.block.patterns
