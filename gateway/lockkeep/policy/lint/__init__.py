"""Lint: what loads and is right, and still may not be meant. Warnings, each with a place and a mend."""

from collections.abc import Collection, Mapping
from datetime import date

from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.lint.comments import heeded
from lockkeep.policy.lint.effects import writing
from lockkeep.policy.lint.kinds import KINDS
from lockkeep.policy.lint.material import Material
from lockkeep.policy.lint.people import asked
from lockkeep.policy.lint.reach import reaching
from lockkeep.policy.lint.sense import senseless
from lockkeep.policy.lint.times import timed
from lockkeep.policy.lint.upkeep import kept
from lockkeep.policy.positions import Problem

LOOKS = (senseless, reaching, writing, asked, timed, kept)
__all__ = ["KINDS", "lint"]


def lint(
    rules: PolicySet,
    today: date,
    *,
    since: Mapping[str, date] | None = None,
    fired: Collection[str] | None = None,
) -> list[Problem]:
    """Every finding, in the order of the files.

    `since`: by rule, the day it began only to observe. `fired`: what the test files make fire; without it, nothing is
    said about tests.
    """
    tested = None if fired is None else frozenset(fired)
    material = Material(rules=rules, today=today, since=since or {}, fired=tested)
    found = [finding for look in LOOKS for finding in look(material)]
    skipped = [*(["untested"] if fired is None else []), *(["stale-observe"] if since is None else [])]
    left = heeded(found, rules.files, KINDS, skipped)
    return sorted(
        (Problem(each.place, each.message, each.hint, "warning", each.kind, each.rule) for each in left),
        key=lambda each: (each.place, each.code),
    )
