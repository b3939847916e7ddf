"""Templates: `{name}` becomes the variable of that name, once; nothing else in a text means anything."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lockkeep_servers.kit.arguments import CONTROL, HIDDEN

FIELD = re.compile(r"\{([a-z][a-z0-9_]{0,63})\}")
LINE_ENDS = {"\r", "\n", "\u2028", "\u2029"}
LARGEST_SUBJECT, LARGEST_BODY, MOST_VARS = 200, 20_000, 40
FALLBACK = "en"


@dataclass(frozen=True)
class Template:
    """One text in one language."""

    id: str
    locale: str
    subject: str
    body: str
    variables: frozenset[str]

    def needs(self) -> frozenset[str]:
        return self.variables | frozenset(FIELD.findall(self.subject + self.body))


def fill(text: str, given: Mapping[str, str]) -> str:
    """A variable's value is not looked into: braces in it stay braces."""
    return FIELD.sub(lambda field: given.get(field[1], field[0]), text)


def chosen(templates: Mapping[str, Template], locale: str | None) -> tuple[Template, list[str]]:
    """Return the text in that language, else its base language, else English, else the first; and say so."""
    wanted = locale or FALLBACK
    for name in (wanted, wanted.partition("-")[0], FALLBACK):
        if name in templates:
            found = templates[name]
            break
    else:
        found = templates[min(templates)]
    other = locale is not None and found.locale.partition("-")[0] != wanted.partition("-")[0]
    return found, [f"There is no text in {locale}; this one is in {found.locale}."] if other else []


def missing(template: Template, given: Mapping[str, str]) -> list[str]:
    return sorted(name for name in template.needs() if not given.get(name, "").strip())


def unused(template: Template, given: Collection[str]) -> list[str]:
    return ["A variable is given that the text does not use."] if set(given) - template.needs() else []


def header_fault(subject: str) -> str | None:
    """Say why this cannot be the subject of a mail; None if it can."""
    if any(sign in LINE_ENDS for sign in subject):
        return "must be one line"
    if any(sign in CONTROL or sign in HIDDEN for sign in subject):
        return "must not hold control or invisible characters"
    if not subject.strip():
        return "must not be empty"
    return f"has more than {LARGEST_SUBJECT} characters" if len(subject) > LARGEST_SUBJECT else None
