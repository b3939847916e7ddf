"""Which status follows which. Steps can be taken back until the order has left; `reserved` and `cancelled` have tools of their own."""

from collections.abc import Mapping

STEPS: Mapping[str, tuple[str, ...]] = {
    "pending_payment": ("paid", "on_hold"),
    "paid": ("pending_payment", "on_hold"),
    "reserved": ("ready_for_fulfilment", "on_hold"),
    "ready_for_fulfilment": ("reserved", "picking", "on_hold"),
    "picking": ("ready_for_fulfilment", "packed", "on_hold"),
    "packed": ("picking", "shipped", "on_hold"),
    "shipped": ("delivered",),
    "delivered": (),
}
LEFT = ("shipped", "delivered")


def allowed(status: str, held_from: str | None, cancelled_from: str | None) -> list[str]:
    """Return what `set_order_status` may set now; an order on hold, or cancelled, only goes back to where it was."""
    match status:
        case "on_hold":
            return [held_from] if held_from else []
        case "cancelled":
            return [cancelled_from] if cancelled_from else []
        case _:
            return list(STEPS[status])


def underneath(status: str, held_from: str | None, cancelled_from: str | None) -> str:
    """Return how far the order has come, whether it is on hold or cancelled there."""
    reached = cancelled_from or status
    return held_from if reached == "on_hold" and held_from else reached
