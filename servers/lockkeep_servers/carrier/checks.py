"""What no carrier is asked to do, whoever asks: checks before any effect."""

from collections.abc import Iterable, Mapping
from typing import Any

from lockkeep_servers.carrier.addresses import check
from lockkeep_servers.kit.errors import CheckFailed, Invalid, ToolError


class PickedUp(ToolError):
    """The carrier has the parcel; its label is used."""

    code = "window_closed"

    def __init__(self) -> None:
        super().__init__(
            "The parcel is picked up, or about to be: this label can no longer be voided.",
            hint="To send it another way, rebook it: the carrier is asked to stop the old parcel.",
        )


def address_ok(address: Mapping[str, Any], field: str) -> None:
    """The address has the form of one."""
    found = check(address)
    if found.verdict == "bad":
        raise CheckFailed(
            "address_ok",
            "The address cannot be used.",
            hint="Correct what details.messages names, and quote again.",
            field=field,
            messages=list(found.messages),
        )


def own_currency(asked: str, own: str) -> None:
    if asked != own:
        raise Invalid({"currency": "must be the currency of the rate"})


def not_delivered(status: str) -> None:
    if status == "delivered":
        raise CheckFailed("not_delivered", "The parcel was delivered.", hint="There is nothing to rebook.")


def no_hazmat(parcels: Iterable[Mapping[str, Any]]) -> None:
    if any(parcel["hazmat"] for parcel in parcels):
        raise CheckFailed(
            "no_hazmat", "Dangerous goods are not rebooked here.", hint="A person of the hazmat desk does it."
        )


def rate_for(shipment_id: str, quoted_for: str | None) -> None:
    """The rate takes these parcels where they were meant to go, and nowhere else."""
    if quoted_for != shipment_id:
        raise Invalid({"rate_id": "was not quoted for this shipment; quote with its shipment_id"})
