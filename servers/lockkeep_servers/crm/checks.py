"""What the CRM will not store, whoever asks: checks on values, before any effect."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from lockkeep_servers.kit.errors import CheckFailed, Invalid
from lockkeep_servers.kit.money import money_given

LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LEGAL_FORM = re.compile(
    r"\b(gmbh|ag|kg|ltd|inc|bv|b v|nv|ab|as|aps|oy|sas|s l|lda|s r l|k k|pty|pte|llc|corp)\b"
)
LOOKS = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "3": "e"})


def email_key(email: str | None) -> str | None:
    """Return the address as mail systems compare it; None without one."""
    return email.strip().casefold() or None if email is not None else None


def domain_of(email: str | None) -> str | None:
    key = email_key(email)
    return key.rpartition("@")[2] or None if key and "@" in key else None


def email_valid(email: str) -> None:
    key = email_key(email) or ""
    local, _, domain = key.rpartition("@")
    labels = domain.split(".")
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if (
        dots
        or not LOCAL.fullmatch(local)
        or len(labels) < 2
        or not all(LABEL.fullmatch(label) for label in labels)
    ):
        raise CheckFailed(
            "email_valid", "This is not an e-mail address.", hint="Ask for the right one.", field="email"
        )


def company_present(company: str | None) -> None:
    if not (company or "").strip():
        raise CheckFailed(
            "company_present", "A lead needs a company.", hint="Find out who they work for.", field="company"
        )


def amount_positive(minor: int | None, currency: str | None, field: str) -> None:
    """The amount is money of a known currency, and more than nothing."""
    money_given(minor, currency, field)
    if minor is not None and minor <= 0:
        raise CheckFailed("amount_positive", "The amount must be more than nothing.", field=field)


def name_present(name: str | None) -> None:
    if not (name or "").strip():
        raise Invalid({"name": "must not be empty"})


def similar(one: str | None, other: str | None) -> bool:
    """Tell whether two company names are probably one company."""
    first, second = _plain(one), _plain(other)
    return bool(first and second) and SequenceMatcher(None, first, second).ratio() >= 0.85


def _plain(name: str | None) -> str:
    words = re.sub(r"[^\w]+", " ", (name or "").casefold())
    return re.sub(r"\s+", " ", LEGAL_FORM.sub(" ", words)).strip()


def lookalike(domain: str | None, known: Iterable[str]) -> bool:
    """Tell whether the domain is not known but reads like one that is."""
    names = set(known)
    return (
        domain is not None
        and domain not in names
        and _skeleton(domain) in {_skeleton(name) for name in names}
    )


def _skeleton(domain: str) -> str:
    return domain.casefold().replace("rn", "m").replace("vv", "w").translate(LOOKS).replace("-", "")
