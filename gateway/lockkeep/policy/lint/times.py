"""What the calendar brings: rules that only watch for too long, and rules that end soon."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from lockkeep.policy.files.forms import Block, PolicyFile, When
from lockkeep.policy.lint.material import Finding, Material, Said, id_of, place_of
from lockkeep.policy.positions import Place
from lockkeep.policy.show import policyfiles

LONGEST_WATCH = timedelta(days=30)
SOON = timedelta(days=14)


def timed(material: Material) -> Iterator[Finding]:
    for file in material.files:
        top = place_of(material.nodes[file.file], "until") or file.owner.place
        yield from _ends(material, file.at, "this file", top)
        yield from _watching_file(file, material)
    for file, block in material.blocks:
        also, rule = block.key.place, f"{file.name}/{block.key.text}"
        yield from _ends(material, block.at, "this block", block.key.place, rule)
        if file.at.mode == "enforce" and block.at.mode == "observe":
            yield from _watched(
                _since(_own(block, file, material), material), "this block", also, rule, material
            )
        if block.results is not None:
            name = id_of(file, block, "results")
            yield from _ends(material, block.results.at, "this rule", block.results.place, name)
            if file.at.mode == block.at.mode == "enforce" and block.results.at.mode == "observe":
                found = _since([name], material)
                yield from _watched(found, "this rule", block.results.place, name, material)
    for said in material.said:
        yield from _ends(material, said.entry.at, f"this {said.kind}", said.entry.place, said.id)
        if _alone(said):
            found = _since([said.id], material)
            yield from _watched(found, f"this {said.kind}", said.entry.place, said.id, material)


def observed(files: Mapping[str, str]) -> set[str]:
    """The rules of a set that only observe."""
    found = policyfiles.by_id(policyfiles.read(files))
    return {rule for rule, item in found.items() if item.at.mode == "observe"}


def _ends(
    material: Material, at: When, what: str, place: Place, rule: str | None = None
) -> Iterator[Finding]:
    if at.until is not None and material.today <= at.until <= material.today + SOON:
        left = (at.until - material.today).days
        when = "today" if not left else f"in {left} day{'s' if left > 1 else ''}"
        message = f"{what} ends {when}, after {at.until}"
        yield Finding(
            kind="ends-soon", place=place, message=message, hint="name a later day, or take it out", rule=rule
        )


def _alone(said: Said) -> bool:
    return said.entry.at.mode == "observe" and said.block.at.mode == said.file.at.mode == "enforce"


def _watching_file(file: PolicyFile, material: Material) -> Iterator[Finding]:
    if file.at.mode != "observe":
        return
    place = place_of(material.nodes[file.file], "mode") or file.owner.place
    own = [said.id for said in material.said if said.file is file]
    yield from _watched(_since(own, material), "this file", place, None, material)


def _own(block: Block, file: PolicyFile, material: Material) -> list[str]:
    return [said.id for said in material.said if said.file is file and said.block is block]


def _since(rules: list[str], material: Material) -> date | None:
    return min((material.since[rule] for rule in rules if rule in material.since), default=None)


def _watched(
    since: date | None, what: str, place: Place, rule: str | None, material: Material
) -> Iterator[Finding]:
    if since is not None and material.today - since > LONGEST_WATCH:
        message = f"{what} only observes since {since}, {(material.today - since).days} days"
        hint = "look at what it would have done (lockkeep policy replay), then write mode: enforce, or take it out"
        yield Finding(kind="stale-observe", place=place, message=message, hint=hint, rule=rule)
