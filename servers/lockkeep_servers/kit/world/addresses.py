"""Addresses of the world, as carriers want them, and how people in a country tell the time and are spoken to."""

from dataclasses import dataclass

from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.places import PHONE

CITIES: dict[str, tuple[tuple[str, str | None, str], ...]] = {  # city, state, zip
    "DE": (("Hamburg", None, "20457"), ("Leipzig", None, "04109"), ("Köln", None, "50667")),
    "AT": (("Wien", None, "1030"), ("Graz", None, "8010")),
    "CH": (("Zürich", None, "8005"), ("Basel", None, "4051")),
    "NL": (("Rotterdam", None, "3011 AA"), ("Utrecht", None, "3511 BT")),
    "BE": (("Gent", None, "9000"), ("Antwerpen", None, "2000")),
    "LU": (("Luxembourg", None, "1855"),),
    "SE": (("Göteborg", None, "411 04"), ("Malmö", None, "211 20")),
    "NO": (("Bergen", None, "5003"),),
    "DK": (("Aarhus C", None, "8000"),),
    "FI": (("Tampere", None, "33100"),),
    "GB": (("Leeds", None, "LS1 4AP"), ("Bristol", None, "BS1 5TR")),
    "IE": (("Cork", None, "T12 W8KT"),),
    "FR": (("Lyon", None, "69002"), ("Nantes", None, "44000")),
    "ES": (("Valencia", None, "46002"),),
    "PT": (("Porto", None, "4050-253"),),
    "IT": (("Torino", "TO", "10121"),),
    "US": (("Columbus", "OH", "43215"), ("Portland", "OR", "97205"), ("Austin", "TX", "78701")),
    "CA": (("Ottawa", "ON", "K1P 5M7"),),
    "JP": (("Osaka", None, "530-0001"), ("Nagoya", None, "450-0002")),
    "AU": (("Melbourne", "VIC", "3000"),),
    "SG": (("Singapore", None, "048616"),),
    "NZ": (("Wellington", None, "6011"),),
}
STREETS = ("Mill Lane", "Hafenstraße", "Rue du Port", "Station Road", "Industrieweg", "Via Roma", "Kanalgatan",
           "Harbour Street", "Am Alten Markt", "Quay Road")  # fmt: skip
TZ = {"DE": "Europe/Berlin", "AT": "Europe/Vienna", "CH": "Europe/Zurich", "NL": "Europe/Amsterdam",
      "BE": "Europe/Brussels", "LU": "Europe/Luxembourg", "SE": "Europe/Stockholm", "NO": "Europe/Oslo",
      "DK": "Europe/Copenhagen", "FI": "Europe/Helsinki", "GB": "Europe/London", "IE": "Europe/Dublin",
      "FR": "Europe/Paris", "ES": "Europe/Madrid", "PT": "Europe/Lisbon", "IT": "Europe/Rome", "US": "America/New_York",
      "CA": "America/Toronto", "JP": "Asia/Tokyo", "AU": "Australia/Melbourne", "SG": "Asia/Singapore",
      "NZ": "Pacific/Auckland"}  # fmt: skip
LOCALE = {
    "DE": "de",
    "AT": "de",
    "CH": "de",
    "FR": "fr",
    "BE": "fr",
    "LU": "fr",
    "JP": "ja",
}  # all others: en


@dataclass(frozen=True)
class Address:
    """The `Addr` of the tools, with its names; every phone and e-mail is set aside for fiction."""

    name: str
    company: str | None
    street1: str
    street2: str | None
    city: str
    state: str | None
    zip: str
    country: str  # ISO 3166-1 alpha-2
    phone: str | None
    email: str | None


def address(dice: Dice, name: str, company: str | None, country: str, email: str | None) -> Address:
    """Return where somebody has parcels sent, with what people forget to fill in left out."""
    city, state, code = dice.pick(CITIES[country])
    return Address(
        name=name,
        company=company,
        street1=f"{dice.pick(STREETS)} {dice.between(1, 140)}",
        street2=dice.pick((None, None, None, "Gate 3", "2nd floor", "c/o Reception")),
        city=city.upper() if dice.chance(0.05) else city,
        state=state,
        zip=code.replace(" ", "") if dice.chance(0.1) else code,
        country=country,
        phone=None if dice.chance(0.2) else phone(dice, country),
        email=email,
    )


def phone(dice: Dice, country: str) -> str:
    return PHONE.get(country, "+1 202 555 01{:02d}").format(dice.below(100))
