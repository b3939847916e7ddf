"""Sales territories, the countries in them, and who sells there."""

from dataclasses import dataclass

TERRITORIES: dict[str, tuple[str, ...]] = {
    "DACH": ("DE", "AT", "CH"),
    "BENELUX": ("NL", "BE", "LU"),
    "NORDICS": ("SE", "NO", "DK", "FI"),
    "UKI": ("GB", "IE"),
    "SOUTH": ("FR", "ES", "PT", "IT"),
    "NA": ("US", "CA"),
    "APAC": ("JP", "AU", "SG", "NZ"),
}
COUNTRIES = tuple(country for countries in TERRITORIES.values() for country in countries)
CURRENCY = {"GB": "GBP", "CH": "CHF", "SE": "SEK", "NO": "NOK", "DK": "DKK", "US": "USD", "CA": "CAD", "JP": "JPY",
            "AU": "AUD", "SG": "SGD", "NZ": "NZD"}  # fmt: skip
LEGAL_FORM = {"DE": "GmbH", "AT": "GmbH", "CH": "AG", "NL": "B.V.", "BE": "NV", "SE": "AB", "NO": "AS", "DK": "ApS",
              "FI": "Oy", "GB": "Ltd", "IE": "Ltd", "FR": "SAS", "ES": "S.L.", "PT": "Lda", "IT": "S.r.l.", "US": "Inc.",
              "CA": "Inc.", "JP": "K.K.", "AU": "Pty Ltd", "SG": "Pte Ltd", "NZ": "Ltd", "LU": "S.à r.l."}  # fmt: skip
PHONE = {"US": "+1 202 555 01{:02d}", "CA": "+1 613 555 01{:02d}", "GB": "+44 20 7946 09{:02d}",
         "AU": "+61 2 5550 00{:02d}", "IE": "+353 20 910 00{:02d}"}  # numbers set aside for fiction  # fmt: skip


def territory_of(country: str | None) -> str | None:
    return next((name for name, countries in TERRITORIES.items() if country in countries), None)


@dataclass(frozen=True)
class Rep:
    id: str
    name: str
    email: str
    tz: str
    territories: tuple[str, ...]
    capacity: int
    active: bool = True


def _rep(number: int, name: str, tz: str, *territories: str, capacity: int = 60, active: bool = True) -> Rep:
    email = f"{name.split()[0].lower()}@sales.example"
    return Rep(f"rep_{number}", name, email, tz, territories, capacity, active)


FULL_REP = "rep_10"  # holds as many open leads as it may
REPS = (
    _rep(1, "Ana Brandt", "Europe/Berlin", "DACH"),
    _rep(2, "Jonas Keller", "Europe/Zurich", "DACH"),
    _rep(3, "Marit de Wit", "Europe/Amsterdam", "BENELUX"),
    _rep(4, "Elin Sandberg", "Europe/Stockholm", "NORDICS"),
    _rep(5, "Owen Clarke", "Europe/London", "UKI"),
    _rep(6, "Chloe Martin", "Europe/Paris", "SOUTH"),
    _rep(7, "Dana Whitfield", "America/New_York", "NA"),
    _rep(8, "Luis Ortega", "America/Los_Angeles", "NA"),
    _rep(9, "Yuki Tanabe", "Asia/Tokyo", "APAC"),
    _rep(10, "Fiona Byrne", "Europe/Dublin", "UKI", "BENELUX", capacity=1),
    _rep(11, "Peter Lang", "Europe/Vienna", "DACH", active=False),
    _rep(12, "Giulia Conti", "Europe/Rome", "SOUTH"),
)
