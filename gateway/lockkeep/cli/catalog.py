"""`lockkeep add` and `lockkeep catalog`: connecting a server, and accepting its tools as they are."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import anyio
import typer
import yaml

from lockkeep.cli import review
from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.policy import activate_folder
from lockkeep.cli.review import Looked
from lockkeep.cli.show import AsJson, data, fail, say
from lockkeep.errors import BadPolicySet, IntegrationDown, NotFound
from lockkeep.ledger import audit
from lockkeep.model import Integration, Json, is_object
from lockkeep.policy.bundle import GATEWAY, LOCK, judged, read_folder
from lockkeep.policy.conditions.runtime import shown
from lockkeep.policy.files import gatewayfile
from lockkeep.policy.files.editing import with_entry
from lockkeep.policy.files.gatewayfile import GatewayFile
from lockkeep.policy.positions import Problems, parse
from lockkeep.policy.rules import manifest
from lockkeep.policy.rules.vendors import Shipped, fitting
from lockkeep.upstream import (
    NO_MANIFEST,
    Listing,
    Lock,
    Proposal,
    accept,
    aliases,
    diff,
    propose,
    read_lock,
    write_lock,
)
from lockkeep.upstream.visible import visible

app = typer.Typer(help="The tools as accepted.", no_args_is_help=True)
WAIT = 15.0
READING = (
    "get",
    "list",
    "search",
    "find",
    "read",
    "fetch",
    "lookup",
    "query",
    "show",
    "describe",
    "check",
    "count",
)
GRAVE = {
    "money": ("refund", "pay", "charge", "capture", "transfer", "invoice", "buy", "purchase"),
    "customer_visible": ("reply", "send", "email", "post", "publish", "notify", "message", "comment"),
    "irreversible": ("delete", "remove", "void", "purge", "merge", "release", "destroy", "drop"),
}
Names = Annotated[list[str] | None, typer.Argument(help="Integrations; default: all.")]


@app.command()
def pull(names: Names = None, as_json: AsJson = False) -> None:
    """Ask the servers what they offer now, and scan it; nothing is accepted by this."""
    with here() as place:
        found = _looks(place, names)
        if as_json:
            data([review.summary(each) for each in found])
            return
        for each in found:
            review.tell_pull(each)


@app.command("diff")
def diff_(names: Names = None, as_json: AsJson = False) -> None:
    """What accepting would change, in words, and what the scan finds in it. Exit 1 if anything would change."""
    with here() as place:
        lock, files = _lock(place), read_folder(place.settings.policies)
        found = _looks(place, names)
        if as_json:
            differences = {each.proposal.integration: review.difference(each, lock, files) for each in found}
            data(differences)
            differ = any(each["changes"] for each in differences.values())
        else:
            told = [review.tell_diff(each, lock, files, place.settings.policies) for each in found]
            differ = any(told)
        if differ:
            raise typer.Exit(1)
        if not as_json:
            say("Every server offers what was accepted.")


@app.command("accept")
def accept_(
    name: Annotated[str, typer.Argument(help="One integration.")],
    expect: Annotated[
        str, typer.Option(help="The hash that `pull` or `diff` showed, 12 characters or more.")
    ],
    despite: Annotated[
        bool,
        typer.Option("--despite-findings", help="Accept tools with an ALARM, too. Needs --reason."),
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Accept exactly what was shown, and bring it into force."""
    if despite and not reason.strip():
        fail("--despite-findings needs a --reason; it stays in the audit log")
        raise typer.Exit(2)
    with here() as place:
        author = place.author("accept")
        (looked,) = _looks(place, [name])
        proposal, lock = looked.proposal, _lock(place)
        if len(expect) < 12 or not proposal.hash.startswith(expect):
            fail(
                f"{name} offers something else by now (hash {proposal.hash[:16]}); look again: lockkeep catalog diff {name}"
            )
            raise typer.Exit(1)
        alarming = review.alarms(looked, diff(lock, proposal))
        if alarming and not despite:
            review.refuse(name, alarming)
            raise typer.Exit(1)
        text = write_lock(accept(lock, proposal, proposal.hash))
        why = f"catalog accept {name}{': ' if reason else ''}{reason}"
        generation = activate_folder(place, reason=why, by=author, changed={LOCK: text})
        (place.settings.policies / LOCK).write_text(text, encoding="utf-8")
        place.store.write_now(
            lambda tx: audit.append(
                tx, "catalog.accepted", utc_now(), integration=name, hash=proposal.hash, by=author,
                reason=reason or None, despite=review.as_data(alarming) or None,
            )
        )  # fmt: skip
        shown: dict[str, Json] = {
            "integration": name,
            "tools": [tool.name for tool in proposal.tools],
            "policy": generation,
        }
        data(shown) if as_json else say(
            f"{name}: {len(proposal.tools)} tools accepted, policy generation {generation}."
        )


def add(
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and _: the tools will be called NAME.tool")],
    target: Annotated[list[str], typer.Argument(help="A URL, or -- and a command with its arguments.")],
    role: Annotated[str, typer.Option(help="The role that may use its read tools at once.")] = "admins",
    as_json: AsJson = False,
) -> None:
    """Connect an MCP server: draft its manifest and a starter policy with REVIEW marks, and show its pins."""
    with here() as place:
        integration = _described(name, target)
        files = read_folder(place.settings.policies)
        written, ready = _drafts(place, integration, target, role, files)
        looked = _look(place, [name], _read_gateway({**files, **written}), {**files, **written})[0]
        proposal = looked.proposal
        _judge(proposal)
        for path, text in written.items():
            file = place.settings.policies / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        if as_json:
            data(
                {
                    **review.summary(looked),
                    "written": sorted(written),
                    "manifest": ready.name if ready else None,
                }
            )
            return
        say(f"Wrote {', '.join(sorted(written))} in {place.settings.policies}.")
        if ready is not None:
            say(f"The manifest is the one that comes with lockkeep for {ready.name}: look it over.")
        say(
            f"{name}: {len(proposal.tools)} tools can be used after: lockkeep catalog accept {name} --expect {proposal.hash[:16]}"
        )
        for tool, why in proposal.left_out.items():
            fix = "describe it" if why == NO_MANIFEST else "take `review: true` out"
            say(
                f"  stays closed: {visible(tool)} ({why}; {fix} in manifests/{name}.yaml once you have looked)"
            )
        for each in looked.findings:
            say(f"  {visible(each.tool)}, {review.told(each)}")


def _judge(proposal: Proposal) -> None:
    """What could not be accepted is said before anything is written."""
    problems = Problems()
    judged({tool.name: tool for tool in proposal.tools}, {}, problems)
    if problems:
        name = proposal.integration
        faults = "; ".join(
            f"{each.message} ({each.hint})" if each.hint else each.message for each in problems.found
        )
        raise BadPolicySet(
            f"nothing was written: {faults}; to describe {name} yourself, "
            f"write it into gateway.yaml and manifests/{name}.yaml by hand"
        )


def _described(name: str, target: list[str]) -> Integration:
    if not gatewayfile.NAME.fullmatch(name):
        raise BadPolicySet(f"'{name}' is no name for an integration: a-z, 0-9 and _, at most 25 characters")
    if len(target) == 1 and re.match(r"https?://", target[0]):
        return Integration(name=name, url=target[0])
    return Integration(name=name, command=tuple(target))


def _drafts(
    place: Here, integration: Integration, target: list[str], role: str, files: Mapping[str, str]
) -> tuple[dict[str, str], Shipped | None]:
    """Everything that will be written, or an error before anything is; and the manifest we had ready."""
    name = integration.name
    if f"{name}.yaml" in files or f"manifests/{name}.yaml" in files:
        raise BadPolicySet(f"there is a file for {name} already; take another name")
    where: dict[str, Json] = {"url": target[0]} if integration.url else {"command": list(target)}
    _read_gateway(files)
    _read_gateway({**files, GATEWAY: with_entry(GATEWAY, files[GATEWAY], "integrations", name, _line(where))})
    listing = _listings([integration], place)[name]
    renamed = aliases(name, [tool.name for tool in listing.tools])
    entry = {**where, **({"alias": renamed} if renamed else {})}
    gateway = with_entry(GATEWAY, files[GATEWAY], "integrations", name, _line(entry))
    ready = fitting(listing.server, [tool.name for tool in listing.tools])
    owner = sorted(place.people.groups)[0] if place.people.groups else role
    drafts = {
        GATEWAY: gateway,
        f"manifests/{name}.yaml": ready.named(name) if ready else draft_manifest(name, listing),
        f"{name}.yaml": draft_policy(
            name,
            {renamed.get(tool, tool): risk for tool, risk in _classes(listing, ready).items()},
            role,
            owner,
        ),
    }
    return drafts, ready


def _line(entry: Mapping[str, Json]) -> str:
    """The entry on one line, as YAML that is also JSON."""
    return json.dumps(entry, ensure_ascii=False)


def _classes(listing: Listing, ready: Shipped | None) -> dict[str, str]:
    """The class of each tool as the drafts have it."""
    found: dict[str, str] = {}
    for tool in listing.tools:
        said: Json = ready.entries.get(tool.name) if ready else tool.effect
        named = is_object(said) and isinstance(said.get("class"), str)
        found[tool.name] = said["class"] if named else draft_class(tool.name, tool.annotations)
    return found


def draft_manifest(name: str, listing: Listing) -> str:
    """A read only if the first verb and the annotation say so; all else is the gravest thing name or schema suggests."""
    tools: dict[str, Json] = {}
    for tool in listing.tools:
        if tool.effect is not None:
            continue  # it brings its own; that is what gets pinned
        risk = draft_class(tool.name, tool.annotations)
        tools[tool.name] = (
            {"class": risk} if risk == "read" else {"class": risk, "undo": "none", "review": True}
        )
    head = (
        f"# Drafted from what {shown(listing.server)} {shown(listing.version)} lists. REVIEW every entry: what does the tool really do?\n"
        "# A tool with `review: true` stays closed; take the line out once you have looked.\n"
    )
    return head + yaml.safe_dump(
        {"api": "lockkeep/v1", "manifest": name, "tools": tools}, sort_keys=False, allow_unicode=True
    )


def draft_class(tool: str, annotations: Mapping[str, Json]) -> str:
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", tool).lower()) if word]
    found = [risk for risk, verbs in GRAVE.items() if any(word in verbs for word in words)]
    if not found and words and words[0] in READING and annotations.get("readOnlyHint") is True:
        return "read"
    return found[-1] if found else "write"


def draft_policy(name: str, classes: Mapping[str, str], role: str, owner: str) -> str:
    """Its reads for one role; everything else as a comment to take the sign from."""
    lines = [
        "# Drafted by lockkeep add. REVIEW: who may use which tool?",
        "api: lockkeep/v1",
        f"policy: {name.replace('_', '-')}",
        f"owner: {owner}",
        "applies_to: {everywhere: true}",
        "tools:",
    ]
    if "read" in classes.values():
        lines += [f"  {name}.@read:", f"    allow: [{role}]"]
    else:
        lines[-1] = "tools: {}"
    lines += [f"  # {name}.{tool}: {{allow: [{role}]}}" for tool in classes]
    return "\n".join(lines) + "\n"


def _looks(place: Here, names: list[str] | None) -> list[Looked]:
    files = read_folder(place.settings.policies)
    return _look(place, names, _read_gateway(files), files)


def _look(
    place: Here, names: list[str] | None, gateway: GatewayFile, files: Mapping[str, str]
) -> list[Looked]:
    from lockkeep.upstream.findings import examine  # only here: its patterns take time to build

    unknown = [name for name in names or () if name not in gateway.integrations]
    if unknown:
        raise NotFound(
            f"gateway.yaml names no integration {', '.join(unknown)} (known: {', '.join(gateway.integrations)})"
        )
    wanted = [gateway.integrations[name] for name in names or sorted(gateway.integrations)]
    listings = _listings(wanted, place)
    manifests = _manifests(files)
    accepted = _lock(place).tools.values()
    return [
        Looked(
            propose(each, listings[each.name], manifests),
            listings[each.name],
            tuple(examine(each, listings[each.name], accepted)),
            each.alias,
        )
        for each in wanted
    ]


def _listings(wanted: list[Integration], place: Here) -> dict[str, Listing]:
    """What each server lists; IntegrationDown with the reason if one does not answer."""

    # the gateway's half: only commands that ask servers wait for its imports
    from lockkeep.app import embedded_environment
    from lockkeep.upstream import Supervisor

    async def ask() -> dict[str, Listing]:
        supervisor = Supervisor(
            wanted, on_change=lambda _: None, environ=embedded_environment(place.settings.data)
        )
        async with supervisor.running():
            with anyio.move_on_after(WAIT):
                for each in wanted:
                    await supervisor.connection(each.name).tried.wait()  # once; whoever wants more asks again
            found = {each.name: supervisor.listing(each.name) for each in wanted}
            down = [
                f"{name}: {supervisor.state(name).reason}"
                for name, listing in found.items()
                if listing is None
            ]
        if down:
            raise IntegrationDown("; ".join(down))
        return {name: listing for name, listing in found.items() if listing is not None}

    return anyio.run(ask)


def _manifests(files: Mapping[str, str]) -> dict[str, Mapping[str, Mapping[str, Json]]]:
    problems, found = Problems(), dict[str, Mapping[str, Mapping[str, Json]]]()
    for path, text in files.items():
        if (
            path.startswith("manifests/")
            and (root := parse(path, text, problems))
            and (read := manifest.read(root, problems))
        ):
            found[read[0]] = read[1]
    if problems:
        raise BadPolicySet("the files do not load\n" + "\n".join(map(str, problems.found)))
    return found


def _read_gateway(files: Mapping[str, str]) -> GatewayFile:
    problems = Problems()
    if GATEWAY not in files:
        raise BadPolicySet(f"{GATEWAY} is missing; `lockkeep init` makes a starter folder")
    root = parse(GATEWAY, files[GATEWAY], problems)
    found = gatewayfile.read(root, problems) if root is not None else None
    if found is None or problems:
        raise BadPolicySet("the files do not load\n" + "\n".join(map(str, problems.found)))
    return found


def _lock(place: Here) -> Lock:
    path: Path = place.settings.policies / LOCK
    return read_lock(path.read_text(encoding="utf-8")) if path.exists() else Lock()
