CREATE TABLE receipts (
    key TEXT PRIMARY KEY,
    tool TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'committed', 'unknown', 'cancelled')),
    receipt TEXT,
    images TEXT,
    at TEXT NOT NULL,
    CHECK ((state = 'committed') = (receipt IS NOT NULL))
) STRICT;

-- What was asked a price for; its rates are one offer each.
CREATE TABLE quotes (
    id INTEGER PRIMARY KEY,
    shipment_id TEXT,  -- quoted to book this one anew
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    parcels TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;

CREATE INDEX quotes_expire ON quotes (expires_at);

CREATE TABLE rates (
    id TEXT PRIMARY KEY,
    quote_id INTEGER NOT NULL REFERENCES quotes (id) ON DELETE CASCADE,
    carrier TEXT NOT NULL,
    service TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    guaranteed INTEGER NOT NULL CHECK (guaranteed IN (0, 1)),
    picked_up_at TEXT NOT NULL,
    eta TEXT NOT NULL,
    CHECK (picked_up_at < eta)
) STRICT;

CREATE INDEX rates_quote ON rates (quote_id);

-- Status and delay are not stored: they follow from scans, dates and the clock. So does the refund of a void label.
CREATE TABLE shipments (
    number INTEGER PRIMARY KEY,  -- grows with each row: pages follow it, so they lose and double nothing
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    order_id TEXT NOT NULL,
    customer_id TEXT,
    tracking_number TEXT NOT NULL UNIQUE,
    carrier TEXT NOT NULL,
    service TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    guaranteed INTEGER NOT NULL CHECK (guaranteed IN (0, 1)),
    rate_id TEXT UNIQUE,  -- a rate is bought once
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    parcels TEXT NOT NULL,
    incident TEXT,
    promised_at TEXT NOT NULL,
    eta TEXT,
    bought_at TEXT NOT NULL,
    voidable_until TEXT NOT NULL,
    refund TEXT CHECK (refund IN ('refunded', 'rejected', 'not_applicable')),  -- what the void comes to in the end
    refund_at TEXT,  -- when
    supersedes TEXT REFERENCES shipments (id),
    superseded_by TEXT UNIQUE REFERENCES shipments (id),
    interception TEXT CHECK (interception IN ('requested')),
    updated_at TEXT NOT NULL,
    CHECK ((refund IS NULL) = (refund_at IS NULL)),
    CHECK (supersedes <> id AND superseded_by <> id)
) STRICT;

CREATE INDEX shipments_promised ON shipments (promised_at);

CREATE TABLE scans (
    number INTEGER PRIMARY KEY,
    shipment_id TEXT NOT NULL REFERENCES shipments (id),
    at TEXT NOT NULL,
    received_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status <> 'delayed'),
    place TEXT,
    message TEXT
) STRICT;

CREATE INDEX scans_shipment ON scans (shipment_id, received_at, status);

CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL REFERENCES shipments (id),
    version INTEGER NOT NULL,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    field TEXT NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL
) STRICT;

CREATE INDEX changes_record ON changes (record_id, number);

CREATE TABLE sequences (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequences (kind, last) VALUES ('shipment', 1000), ('rate', 1000);
