"""Which stage follows which. Every step can be taken back, but for a lead that was converted."""

from lockkeep_servers.crm.port import DEAL_STAGES, LEAD_STAGES

LOST = {"lead": "disqualified", "deal": "closed_lost"}
STAGES = {"lead": LEAD_STAGES, "deal": DEAL_STAGES}


def allowed(kind: str, stage: str, owned: bool) -> list[str]:
    """Return the stages a record may move to now. `new` and `assigned` depend on having an owner."""
    return _lead(stage, owned) if kind == "lead" else _deal(stage)


def _lead(stage: str, owned: bool) -> list[str]:
    match stage:
        case "new":
            return ["disqualified"]
        case "assigned":
            return ["contacted", "disqualified"]
        case "contacted":
            return [*(["assigned"] if owned else []), "qualified", "disqualified"]
        case "qualified":
            return ["contacted", "converted", "disqualified"]
        case "disqualified":
            return ["assigned" if owned else "new", "contacted", "qualified"]
        case _:
            return []


def _deal(stage: str) -> list[str]:
    order = DEAL_STAGES[:5]  # the way to closed_won, a step at a time in both directions
    if stage == "closed_lost":
        return list(order[:4])
    place = order.index(stage)
    steps = [order[near] for near in (place - 1, place + 1) if 0 <= near < len(order)]
    return steps if stage == "closed_won" else [*steps, "closed_lost"]
