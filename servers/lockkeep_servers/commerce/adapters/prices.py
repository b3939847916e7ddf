"""What products cost."""

from lockkeep_servers.commerce import checks, port
from lockkeep_servers.commerce.adapters.rows import Rows
from lockkeep_servers.kit.errors import Invalid, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import changed


def set_price(rows: Rows, ask: port.SetPrice) -> Effect:
    """The product costs this, in the currency it is sold in."""
    checks.price_positive(ask.price_minor, ask.currency)
    row = rows.tx.row("get_product", sku=ask.sku)
    if row is None:
        raise NotFound("product")
    rows.expect(row["sku"], row["version"], ask.expected_version)
    if ask.currency != row["currency"]:
        raise Invalid({"currency": f"must be the product's own ({row['currency']})"})
    before, after = changed({"price_minor": row["price_minor"]}, {"price_minor": ask.price_minor})
    version = row["version"] + bool(after)
    if after:
        rows.run_one("write_price", **{**row, **after, "updated_at": rows.at})
        rows.remember(row["sku"], version, before, after)
    return Effect(row["sku"], str(version), before, after)
