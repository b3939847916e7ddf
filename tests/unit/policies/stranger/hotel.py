"""The tools of a hotel chain, as its vendors would list them; nothing here was shaped to suit the rules."""

from tests.unit.policies.room import MONEY, NUMBER, TEXT, TIME, WHOLE, fields, tool

from lockkeep.model import Json, Tool

YES: Json = {"type": "boolean"}
DAY: Json = {"type": "string", "format": "date"}


def some(*names: str) -> Json:
    return {"enum": list(names)}


def each(item: Json) -> Json:
    return {"type": "array", "items": item}


GUESTS = each(fields({"age": WHOLE, "name": TEXT}, "age"))
BOOKING = fields(
    {
        "id": TEXT, "house": TEXT, "rate": some("flexible", "saver"), "made_by": TEXT, "company": TEXT, "agency": TEXT, "agency_number": TEXT,
        "arrival": TIME, "departure": TIME, "departure_day": DAY, "cancelled_at": TIME, "night_minor": WHOLE, "currency": TEXT, "vip": YES,
        "room": TEXT, "category": TEXT, "room_is_taken": YES, "goodwill": each(fields({"kind": TEXT}, "kind")), "upgrades": WHOLE,
        "name_changes": WHOLE, "guests": GUESTS, "documents": each(fields({"kind": TEXT}, "kind")), "pets": WHOLE,
    },
    "id", "house", "rate", "made_by", "arrival", "departure", "departure_day", "night_minor", "currency", "vip", "category", "room_is_taken",
    "goodwill", "upgrades", "name_changes", "guests", "documents", "pets",
)  # fmt: skip
HOUSE = fields(
    {
        "id": TEXT, "country": TEXT, "duty_manager": TEXT, "deputy": TEXT, "fair_days": each(DAY),
        "categories": each(fields({"id": TEXT, "rank": WHOLE, "suite": YES}, "id", "rank", "suite")),
    },
    "id", "country", "duty_manager", "deputy", "fair_days", "categories",
)  # fmt: skip
PAID = fields(
    {
        "paid_minor": WHOLE, "refundable_minor": WHOLE, "currency": TEXT, "method": some("card", "transfer", "cash"),
        "refunds": each(fields({"id": TEXT}, "id")), "card": fields({"brand": TEXT, "number": TEXT}),
    },
    "paid_minor", "refundable_minor", "currency", "method", "refunds",
)  # fmt: skip
COMPLAINT = fields(
    {"id": TEXT, "topic": some("stay", "staff", "safety", "child", "data_protection"), "text": TEXT, "manager_answered": YES},
    "id", "topic", "text", "manager_answered",
)  # fmt: skip
MEMBER = fields(
    {"tier": some("none", "silver", "gold"), "stays": each(fields({"booking_id": TEXT, "counted": YES, "departure": TIME}, "booking_id", "counted", "departure"))},
    "tier", "stays",
)  # fmt: skip
OF_BOOKING = {"booking_id": TEXT}
GIVEN: Json = {"minor": "args.amount_minor", "currency": "args.currency"}


def read(name: str, takes: dict[str, Json], gives: Json) -> Tool:
    return tool(name, "read", fields(takes, *takes), gives)


def write(name: str, risk: str, takes: dict[str, Json], *optional: str, amount: Json = None) -> Tool:
    needed = [key for key in takes if key not in optional]
    subject = f"args.{needed[0]}"
    more: dict[str, Json] = {"amount": amount} if amount else {}
    return tool(name, risk, fields(takes, *needed), subject=subject, **more)


TOOLS = (
    read("pms.get_booking", OF_BOOKING, BOOKING),
    read("pms.get_house", {"house": TEXT}, HOUSE),
    read("pms.rooms_free", {"house": TEXT, "category": TEXT}, fields({"free": WHOLE}, "free")),
    read("pms.search_bookings", {"company": TEXT, "night": DAY}, fields({"items": each(fields({"id": TEXT, "rooms": WHOLE}, "id", "rooms"))}, "items")),
    read("pms.get_documents", OF_BOOKING, fields({"pages": each(TEXT)}, "pages")),
    read("pms.get_staff", {"user_id": TEXT}, fields({"house": TEXT}, "house")),
    write("pms.book", "write", {"house": TEXT, "night": DAY, "rooms": WHOLE, "guests": GUESTS, "company": TEXT}, "company"),
    write("pms.confirm", "write", OF_BOOKING),
    write("pms.late_checkout", "write", {**OF_BOOKING, "until": TIME, "fee_minor": WHOLE, "currency": TEXT}),
    write("pms.upgrade", "write", {**OF_BOOKING, "category": TEXT}),
    write("pms.change_name", "write", {**OF_BOOKING, "name": TEXT}),
    write("pms.add_pet", "write", {**OF_BOOKING, "kind": some("dog", "cat", "other"), "assistance": YES, "fee_minor": WHOLE, "currency": TEXT}),
    write("pms.add_note", "note", {**OF_BOOKING, "body": TEXT}),
    read("pay.get", OF_BOOKING, PAID),
    write("pay.refund", "money", {**OF_BOOKING, **MONEY, "method": some("card", "transfer", "cash"), "reason": TEXT}, amount=GIVEN),
    write("pay.voucher", "money", {**OF_BOOKING, **MONEY, "case": some("illness", "death", "flight", "other"), "reason": TEXT}, amount=GIVEN),
    write("pay.goodwill", "money", {**OF_BOOKING, "kind": some("money", "wine"), **MONEY, "reason": TEXT}, "amount_minor", "currency", amount=GIVEN),
    read("desk.get_complaint", {"complaint_id": TEXT}, COMPLAINT),
    read("desk.get_guest", {"guest_id": TEXT}, fields({"id": TEXT, "email": TEXT, "wants_offers": YES}, "id", "wants_offers")),
    write("desk.answer", "customer_visible", {"complaint_id": TEXT, "body": TEXT}),
    write("desk.write", "customer_visible", {**OF_BOOKING, "guest_id": TEXT, "purpose": some("stay", "offer"), "body": TEXT}),
    read("loyalty.get_member", {"guest_id": TEXT}, MEMBER),
    write("loyalty.count_stay", "write", {"guest_id": TEXT, "booking_id": TEXT}),
    write("loyalty.add_points", "write", {"guest_id": TEXT, "points": NUMBER, "reason": TEXT}),
    write("loyalty.move_points", "write", {"from_guest": TEXT, "to_guest": TEXT, "points": NUMBER, "reason": some("death", "gift")}),
)  # fmt: skip
