"""What the shop will not do, whoever asks: checks on values, before any effect."""

from collections.abc import Sequence

from lockkeep_servers.commerce.port import Wanted
from lockkeep_servers.kit.errors import CheckFailed, Invalid
from lockkeep_servers.kit.money import money_given


def price_positive(minor: int, currency: str) -> None:
    """The price is money of a known currency, and more than nothing."""
    money_given(minor, currency, "price_minor")
    if minor <= 0:
        raise CheckFailed("price_positive", "The price must be more than nothing.", field="price_minor")


def once_each(lines: Sequence[Wanted]) -> None:
    """No product stands on two lines of one request."""
    seen: set[str] = set()
    faults: dict[str, str] = {}
    for place, line in enumerate(lines):
        if line.sku in seen:
            faults[f"lines.{place}.sku"] = "stands on another line already"
        seen.add(line.sku)
    if faults:
        raise Invalid(faults)


def order_open(message: str, hint: str = "See the status of the order.", **details: object) -> CheckFailed:
    return CheckFailed("order_open", message, hint=hint, **details)


def hold_active(message: str) -> CheckFailed:
    return CheckFailed("hold_active", message, hint="See the holds of the order.")
