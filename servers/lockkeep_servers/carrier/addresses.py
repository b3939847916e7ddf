"""Whether an address can be a real one. Form only: nothing is looked up, and nothing is made up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Code:
    """The postal code of a country: its form without spaces, and where it is cut in writing."""

    form: re.Pattern[str]
    cut: int | None = None
    sign: str = " "

    def written(self, plain: str) -> str:
        apart = self.cut is not None and len(plain) > abs(self.cut)
        return f"{plain[: self.cut]}{self.sign}{plain[self.cut :]}" if apart else plain


def _code(form: str, cut: int | None = None, sign: str = " ") -> Code:
    return Code(re.compile(form), cut, sign)


CODES: Mapping[str, Code] = {
    "US": _code("[0-9]{5}([0-9]{4})?", 5, "-"),
    "CA": _code("[ABCEGHJ-NPRSTVXY][0-9][ABCEGHJ-NPRSTV-Z][0-9][ABCEGHJ-NPRSTV-Z][0-9]", 3),
    "GB": _code("(GIR0AA|[A-PR-UWYZ]([0-9]{1,2}|[A-HK-Y][0-9]{1,2}|[0-9][A-HJKPSTUW]|[A-HK-Y][0-9][ABEHMNPRV-Y])[0-9][ABD-HJLNP-UW-Z]{2})", -3),
    "IE": _code("([AC-FHKNPRTV-Y][0-9]{2}|D6W)[0-9AC-FHKNPRTV-Y]{4}", 3),
    "DE": _code("(?!00)[0-9]{5}"),
    "FR": _code("(?!00|99)[0-9]{5}"),
    "NL": _code("[1-9][0-9]{3}(?!SA|SD|SS)[A-Z]{2}", 4),
    "AT": _code("[1-9][0-9]{3}"),
    "CH": _code("[1-9][0-9]{3}"),
    "BE": _code("[1-9][0-9]{3}"),
    "LU": _code("[1-9][0-9]{3}"),
    "DK": _code("(?!00)[0-9]{4}"),
    "NO": _code("[0-9]{4}"),
    "SE": _code("[1-9][0-9]{4}", 3),
    "FI": _code("[0-9]{5}"),
    "ES": _code("(0[1-9]|[1-4][0-9]|5[0-2])[0-9]{3}"),
    "PT": _code("[1-9][0-9]{6}", 4, "-"),
    "IT": _code("[0-9]{5}"),
    "JP": _code("[0-9]{7}", 3, "-"),
    "AU": _code("[0-9]{4}"),
    "NZ": _code("[0-9]{4}"),
    "SG": _code("[0-9]{6}"),
}  # fmt: skip
_US = """
AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC
SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI AA AE AP
"""
_CA = "AB BC MB NB NL NS NT NU ON PE QC SK YT"
STATES: Mapping[str, frozenset[str]] = {
    "US": frozenset(_US.split()),
    "CA": frozenset(_CA.split()),
}
PREFIX = {"DE": ("DE", "D"), "AT": ("AT", "A"), "CH": ("CH",), "NL": ("NL",), "FR": ("FR", "F"), "BE": ("BE", "B"),
          "LU": ("LU", "L"), "DK": ("DK",), "SE": ("SE", "S"), "NO": ("NO", "N"), "FI": ("FI", "FIN")}  # fmt: skip
FIELDS = ("name", "company", "street1", "street2", "city", "state", "zip", "country", "phone", "email")


@dataclass(frozen=True)
class Checked:
    """An address as it should be written, and what is wrong with it. No message quotes it."""

    verdict: Literal["ok", "corrected", "bad"]
    address: Mapping[str, str | None]
    messages: tuple[str, ...]


def check(given: Mapping[str, Any]) -> Checked:
    """Return the address with its spaces, its postal code and its state in order; `bad` if no carrier could use it."""
    before: dict[str, str | None] = {name: given.get(name) for name in FIELDS}
    after = {name: _spaced(value) for name, value in before.items()}
    country = str(after["country"])
    bad: list[str] = []
    notes: list[str] = []
    after["zip"] = _zip(country, after["zip"] or "", bad, notes)
    after["state"] = _state(country, after["state"], bad)
    bad += [f"{name}: must say something" for name in ("street1", "city") if not _says(after[name])]
    if not after["name"] and not after["company"]:
        notes.append("name: no person and no company is named")
    notes += [f"{name}: written as carriers write it" for name in FIELDS if before[name] != after[name]]
    verdict = "bad" if bad else "corrected" if before != after else "ok"
    return Checked(verdict, after, (*bad, *notes))


def _spaced(value: str | None) -> str | None:
    return " ".join(value.split()) or None if value is not None else None


def _says(value: str | None) -> bool:
    return any(sign.isalnum() for sign in value or "")


def _zip(country: str, given: str, bad: list[str], notes: list[str]) -> str:
    code = CODES.get(country)
    if code is None:
        if not _says(given):
            bad.append("zip: must say something")
        notes.append("zip: postal codes of this country are not checked")
        return given
    plain = re.sub(r"[\s-]", "", given).upper()
    for prefix in PREFIX.get(country, ()):
        if plain.startswith(prefix) and code.form.fullmatch(plain.removeprefix(prefix)):
            plain = plain.removeprefix(prefix)
    if not code.form.fullmatch(plain):
        bad.append(f"zip: is no postal code of {country}")
        return given
    return code.written(plain)


def _state(country: str, given: str | None, bad: list[str]) -> str | None:
    known = STATES.get(country)
    if known is None:
        return given
    plain = (given or "").replace(".", "").upper()
    if plain not in known:
        bad.append(f"state: must be a two-letter code of {country}")
        return given
    return plain
