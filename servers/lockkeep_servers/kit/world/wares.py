"""What the shop sells and what it should cost: names, weights, the price list, and where things lie."""

from decimal import Decimal

from lockkeep_servers.kit.money import exponent
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.planted import AT_40, AT_80, AT_800

FAMILIES = (  # name, price in EUR cents, weight in g, dangerous goods
    ("Label printer", 18_900, 2400, False),
    ("Thermal labels", 1_490, 620, False),
    ("Handheld scanner", 24_900, 480, False),
    ("Packing tape", 590, 310, False),
    ("Shipping boxes", 2_890, 5200, False),
    ("Pallet wrap", 1_190, 2600, False),
    ("Desk lamp", 5_490, 1900, False),
    ("Office chair", 21_900, 14500, False),
    ("Cable reel", 3_990, 4100, False),
    ("Safety gloves", 790, 140, False),
    ("Work light", 4_690, 1300, False),
    ("Cordless drill", 15_900, 2200, False),
    ("Tool case", 8_490, 6800, False),
    ("Battery pack", 6_990, 980, True),
    ("Contact cleaner spray", 1_290, 450, True),
    ("Wall shelf", 7_290, 9300, False),
    ("Storage bin", 990, 860, False),
    ("Hand truck", 11_900, 12800, False),
    ("Monitor arm", 9_890, 3400, False),
    ("USB-C dock", 16_490, 560, False),
    ("Noise meter", 13_900, 390, False),
    ("First aid kit", 3_290, 1100, False),
    ("Floor mat", 4_190, 5600, False),
    ("Door sign", 1_690, 270, False),
)
VARIANTS = ("S", "M", "L", "XL", "Pro", "Eco", "200", "350", "Duo", "Plus")
NAMED = {
    "LK-1001": ("Workshop crane 500 kg", 64_900, 18_000, False),
    "LK-1002": ("Lithium battery 48 V", 32_900, 7_400, True),
    "LK-1003": ("Air filter, carbon", 4_490, 900, False),
    AT_80: ("Torque wrench 1/2 in", 8_000, 1_600, False),
    AT_800: ("Bench vice, cast steel", 80_000, 19_000, False),
    AT_40: ("Digital caliper", 4_000, 350, False),
}
RATES = {"EUR": 1000, "GBP": 860, "CHF": 950, "SEK": 11300, "NOK": 11600, "DKK": 7460, "USD": 1090, "CAD": 1480,
         "JPY": 1650, "AUD": 1650, "SGD": 1460, "NZD": 1790}  # minor units for 1000 EUR cents  # fmt: skip


def sku(number: int) -> str:
    return f"LK-{1000 + number}"


def ware(number: int) -> tuple[str, int, int, bool]:
    """Return name, price in EUR cents, weight in g, and whether it is dangerous."""
    if found := NAMED.get(sku(number)):
        return found
    turn, family = divmod(number - 1, len(FAMILIES))
    name, price, weight, hazmat = FAMILIES[family]
    factor = 100 + 17 * (turn % len(VARIANTS))
    return (
        f"{name} {VARIANTS[turn % len(VARIANTS)]}",
        _ending(price * factor // 100),
        weight * factor // 100,
        hazmat,
    )


def converted(minor: int, currency: str) -> int:
    """Return EUR cents in another currency's minor units, without rounding to a nice price."""
    return minor * RATES[currency] // 1000


def listed(number: int, currency: str) -> int:
    """Return what the price list says the product costs."""
    price = ware(number)[1]
    if currency == "EUR":
        return price
    if currency == "JPY":
        return converted(price, currency) // 10 * 10
    return _ending(converted(price, currency))


def _ending(minor: int) -> int:
    return max(minor // 100, 1) * 100 - 10


def wrong(seed: int, number: int) -> int:
    """Return what a careless import made of the price: never the right one."""
    right = listed(number, "EUR")
    dice = Dice(seed, "wrong price", number)
    return dice.pick((right * 10, right // 10, right * 119 // 100, right * 92 // 100, right - 90 + 1000))


def place(dice: Dice) -> str:
    """Return a bin; bins sort in the order somebody walks past them."""
    return f"{dice.pick('ABCDE')}-{dice.between(1, 24):02d}-{dice.between(1, 5)}"


def printed(minor: int, currency: str) -> str:
    """Return an amount as people write it: "80.00 EUR", "4200 JPY"."""
    digits = exponent(currency) or 0
    return f"{Decimal(minor).scaleb(-digits):.{digits}f} {currency}"
