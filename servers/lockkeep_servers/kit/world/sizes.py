"""How large a world can be, and what every size of it holds."""

from collections.abc import Mapping

SIZES: Mapping[str, Mapping[str, int]] = {
    "small": {"companies": 16, "contacts": 24, "leads": 24, "deals": 8, "accounts": 12, "products": 64, "orders": 40,
              "tickets": 30, "vendors": 12, "invoices": 24},
    "demo": {"companies": 48, "contacts": 60, "leads": 40, "deals": 24, "accounts": 30, "products": 96, "orders": 80,
             "tickets": 50, "vendors": 16, "invoices": 36},
    "full": {"companies": 400, "contacts": 600, "leads": 300, "deals": 120, "accounts": 240, "products": 240,
             "orders": 500, "tickets": 250, "vendors": 40, "invoices": 180},
}  # fmt: skip


def numbers(size: str, kind: str) -> range:
    """Return the numbers of that kind: 1, 2, 3 and on."""
    return range(1, SIZES[size][kind] + 1)


def room(kind: str, number: int, target: str) -> int:
    """Return how many of `target` there are in the smallest world that holds this one: those it may point to."""
    return next(counts[target] for counts in SIZES.values() if number <= counts[kind])


def span(kind: str, number: int, target: str) -> range:
    """Return the numbers of `target` that come with the same size as this one: those only it may change."""
    before = 0
    for counts in SIZES.values():
        if number <= counts[kind]:
            return range(before + 1, counts[target] + 1)
        before = counts[target]
    raise KeyError(number)
