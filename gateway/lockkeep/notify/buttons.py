"""Which approvals a button may decide: what is grave needs a rule that says so, and a card that shows everything."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from lockkeep.cards.card import Card
from lockkeep.model import Amount, Demand
from lockkeep.policy.conditions.values import decimals

GRAVE = frozenset({"money", "customer_visible", "irreversible"})
SHOWN = 16  # characters of the digest that a button carries
VALUE = re.compile(r"(apr_[0-9a-z]{1,64}):([0-9a-f]{16})")


def value_of(card: Card) -> str:
    """What a button carries: the approval, and exactly what was shown."""
    return f"{card.id}:{card.bound[:SHOWN]}"


def read_value(text: str) -> tuple[str, str] | None:
    match = VALUE.fullmatch(text)
    return (match[1], match[2]) if match else None


def link_only(demands: Sequence[Demand], risk: str, amount: Amount | None, cut: bool) -> str:
    """Why a button does not decide this one; empty if it may."""
    if any(demand.confirm for demand in demands):
        return "the person who asks confirms in the inbox, or on the command line"
    if any(demand.reason for demand in demands):
        return "a rule wants a reason with every yes"
    if cut:
        return "not everything fits here"
    if risk not in GRAVE:
        return ""
    if not all(_within(demand.slack_up_to, amount) for demand in demands):
        return "the rules do not let a call like this be decided here"
    return ""


def _within(most: str | None, amount: Amount | None) -> bool:
    """`200.00 EUR` covers sums of that currency, `all` covers everything."""
    if most is None or most == "all":
        return most == "all"
    number, _, currency = most.partition(" ")
    if amount is None or amount.currency != currency:
        return False
    try:
        return 0 <= amount.minor <= Decimal(number).scaleb(decimals(currency))
    except InvalidOperation:
        return False
