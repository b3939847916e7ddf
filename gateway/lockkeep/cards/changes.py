"""What an approver writes beside an argument, as the value it means."""

import json

from lockkeep.model import Json
from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.files.constants import amount
from lockkeep.policy.positions import Place, Problems, Text


def change(name: str, value: str) -> dict[str, Json]:
    """`50 EUR` is the two arguments behind the amount; other values are JSON, or else text."""
    money = amount(Text(Place(name, 1, 1), value, value), Problems())
    if isinstance(money, Money):
        return {f"{name}_minor": int(money.minor), "currency": money.currency}
    try:
        return {name: json.loads(value)}
    except ValueError:
        return {name: value}
