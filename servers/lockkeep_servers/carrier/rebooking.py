"""What booking a parcel anew comes to, whatever the back end.

Buy and link come first: the receiver's parcel must not wait for the old one. Then the old label is voided; where that cannot
be, or fails, the carrier is asked to bring the old parcel back. Neither failing stops the new parcel: it is a warning.
"""

from lockkeep_servers.carrier.port import StepState

STOPPABLE = (
    "pre_transit", "in_transit", "delayed", "delivery_attempted", "available_for_pickup", "on_hold",
    "unknown",
)  # fmt: skip


def interception(status: str) -> tuple[StepState, str]:
    """Return what asking the carrier to bring a parcel back comes to."""
    if status in STOPPABLE:
        return "done", "The carrier was asked to bring the old parcel back."
    if status == "out_for_delivery":
        return "failed", "The old parcel is too close to its receiver to be stopped: both may arrive."
    return "skipped", "The old parcel is not on its way to the receiver."
