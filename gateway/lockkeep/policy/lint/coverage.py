"""Which entries the cases of the test files make fire, file by file."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lockkeep.policy.files.forms import PolicyFile
from lockkeep.policy.lint.material import Material
from lockkeep.policy.positions import Place
from lockkeep.policy.show import policyfiles


@dataclass(frozen=True, slots=True)
class Testable:
    """An entry that a case can make fire. `also`: where a comment about it may stand, too."""

    rule: str
    what: str
    place: Place
    also: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """One policy file: its entries, and those no case makes fire."""

    file: str
    entries: int
    missed: tuple[Testable, ...]

    @property
    def fired(self) -> int:
        return self.entries - len(self.missed)

    @property
    def percent(self) -> int:
        """Rounded down: 100 are all of them."""
        return 100 * self.fired // self.entries if self.entries else 100


def coverage(material: Material, fired: Collection[str]) -> list[Covered]:
    found: list[Covered] = []
    for file in material.files:
        there = list(testable(file, material))
        missed = tuple(each for each in there if each.rule not in fired)
        found.append(Covered(file.file, len(there), missed))
    return found


def testable(file: PolicyFile, material: Material) -> Iterator[Testable]:
    """Every entry of the file that is not off, with `change` and `results`; an undo is no call of its own."""
    rules = material.rules.rules.values()
    made = {rule.id for each in rules for rule in each.rules}
    made |= {cut.rule for each in rules for cut in each.cuts} | {
        shown.rule for each in rules for shown in each.shown
    }
    for block in file.blocks:
        for item in policyfiles.items(file, block):
            if item.id in made:
                what = {"people": "hand-over", "results": "result rule"}.get(item.kind, item.kind)
                yield Testable(item.id, what, item.place, (block.key.place,))
