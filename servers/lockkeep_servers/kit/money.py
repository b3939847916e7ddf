"""Money is whole minor units and an ISO 4217 code; the code knows how many digits a unit has."""

from decimal import Decimal, InvalidOperation

from lockkeep_servers.kit.errors import Invalid

_NO_DIGITS = """
BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
"""
_THREE_DIGITS = """
BHD IQD JOD KWD LYD OMR TND
"""
_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR
MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
NO_DIGITS, THREE_DIGITS, TWO_DIGITS = (frozenset(t.split()) for t in (_NO_DIGITS, _THREE_DIGITS, _TWO_DIGITS))


def exponent(currency: str) -> int | None:
    """Return the digits behind the point; None for a code that is no currency."""
    if currency in TWO_DIGITS:
        return 2
    return 0 if currency in NO_DIGITS else 3 if currency in THREE_DIGITS else None


def money_given(minor: int | None, currency: str | None, field: str) -> None:
    """An amount has a known currency, and a currency an amount; anything else is `invalid`."""
    if minor is not None and currency is None:
        raise Invalid({"currency": f"is required with {field}"})
    if minor is None and currency is not None:
        raise Invalid({field: "is required with currency"})
    if currency is not None and exponent(currency) is None:
        raise Invalid({"currency": "is not an ISO 4217 code"})


def minor_units(amount: str, currency: str) -> int | None:
    """Return a decimal text in whole minor units; None if it is no amount of that currency."""
    digits = exponent(currency)
    try:
        value = Decimal(amount)
    except InvalidOperation:
        return None
    if digits is None or not value.is_finite():
        return None
    scaled = value.scaleb(digits)
    return int(scaled) if scaled == scaled.to_integral_value() else None
