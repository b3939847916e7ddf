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

-- What a payment gave back stands in it, so that no statement can give back more than was captured.
CREATE TABLE payments (
    number INTEGER PRIMARY KEY,  -- grows with each row: pages follow it
    id TEXT NOT NULL UNIQUE,
    order_id TEXT,
    customer_id TEXT,
    currency TEXT NOT NULL,
    method TEXT,
    captured_at TEXT NOT NULL,
    captured_minor INTEGER NOT NULL CHECK (captured_minor >= 0),
    refunded_minor INTEGER NOT NULL CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    disputed INTEGER NOT NULL CHECK (disputed IN (0, 1)),
    status TEXT NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN captured_minor = 0 THEN 'failed'
            WHEN disputed THEN 'disputed'
            WHEN refunded_minor = 0 THEN 'captured'
            WHEN refunded_minor < captured_minor THEN 'partially_refunded'
            ELSE 'refunded'
        END
    ) VIRTUAL
) STRICT;

CREATE INDEX payments_order ON payments (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX payments_customer ON payments (customer_id) WHERE customer_id IS NOT NULL;

-- Without an outcome a refund is pending until `settles_at`, and succeeded from then on.
CREATE TABLE refunds (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('duplicate', 'fraudulent', 'requested', 'damaged', 'late', 'other')),
    order_id TEXT,
    ticket_id TEXT,
    repeat_of TEXT REFERENCES refunds (id),
    by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    settles_at TEXT NOT NULL,
    outcome TEXT CHECK (outcome IN ('failed', 'cancelled')),
    CHECK (order_id IS NOT NULL OR ticket_id IS NOT NULL)
) STRICT;

CREATE INDEX refunds_payment ON refunds (payment_id, number);
CREATE UNIQUE INDEX refunds_repeat ON refunds (repeat_of) WHERE repeat_of IS NOT NULL AND outcome IS NULL;

CREATE TABLE vendors (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;

CREATE TABLE purchase_orders (
    po_key TEXT PRIMARY KEY,  -- the number without case, spaces, punctuation
    po_number TEXT NOT NULL,
    vendor_id TEXT NOT NULL REFERENCES vendors (id),
    ordered_on TEXT NOT NULL,
    currency TEXT NOT NULL,
    lines TEXT NOT NULL,
    total_minor INTEGER NOT NULL CHECK (total_minor >= 0)
) STRICT;

CREATE TABLE invoices (
    number INTEGER PRIMARY KEY,  -- grows with each row; what the vendor calls it is `vendor_number`
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    vendor_id TEXT NOT NULL REFERENCES vendors (id),
    vendor_number TEXT NOT NULL,
    number_key TEXT NOT NULL,  -- without case, spaces, punctuation
    issued TEXT NOT NULL,
    due TEXT NOT NULL,
    currency TEXT NOT NULL,
    lines TEXT NOT NULL,
    net_minor INTEGER NOT NULL,
    discount_minor INTEGER NOT NULL,
    tax_minor INTEGER NOT NULL,
    total_minor INTEGER NOT NULL CHECK (total_minor > 0),
    po_number TEXT,
    po_key TEXT,
    match TEXT NOT NULL CHECK (match IN ('matched', 'mismatch', 'no_po')),
    differences TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('draft', 'submitted', 'approved', 'rejected', 'posted', 'void')),
    submitted_at TEXT,
    updated_at TEXT NOT NULL,
    CHECK (issued <= due),
    CHECK ((po_number IS NULL) = (po_key IS NULL)),
    CHECK (status <> 'draft' OR submitted_at IS NULL)
) STRICT;

CREATE UNIQUE INDEX invoices_number ON invoices (vendor_id, number_key) WHERE status <> 'void';
CREATE INDEX invoices_order ON invoices (po_key) WHERE po_key IS NOT NULL;

-- Which steps a refund or an invoice took, by whom and why.
CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    subject_id TEXT NOT NULL,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    old TEXT,
    new TEXT NOT NULL,
    reason TEXT
) STRICT;

CREATE INDEX changes_subject ON changes (subject_id, number);

CREATE TABLE sequences (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequences (kind, last) VALUES ('refund', 100000), ('invoice', 100000);
