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

CREATE TABLE products (
    sku TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    currency TEXT NOT NULL,
    weight_g INTEGER NOT NULL CHECK (weight_g >= 0),
    hazmat INTEGER NOT NULL CHECK (hazmat IN (0, 1)),
    updated_at TEXT NOT NULL
) STRICT;

-- `reserved` is what the active and committed holds add up to. Whatever the code does, nobody is promised what is not there.
CREATE TABLE stock (
    sku TEXT NOT NULL REFERENCES products (sku),
    warehouse TEXT NOT NULL,
    bin TEXT NOT NULL,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    incoming INTEGER NOT NULL DEFAULT 0 CHECK (incoming >= 0),
    incoming_on TEXT,
    PRIMARY KEY (sku, warehouse),
    CHECK (on_hand - reserved >= 0)
) STRICT;

CREATE INDEX stock_warehouse ON stock (warehouse);

CREATE TABLE orders (
    number INTEGER PRIMARY KEY,  -- grows with each row: pages follow it, so they lose and double nothing
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    customer_id TEXT NOT NULL,
    email TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending_payment', 'paid', 'reserved', 'ready_for_fulfilment', 'picking', 'packed',
                                           'shipped', 'delivered', 'on_hold', 'cancelled')),
    held_from TEXT,       -- where an order on hold goes back to; kept while it is cancelled from there
    hold_reason TEXT,
    cancelled_from TEXT,  -- where a cancelled order goes back to
    cancelled_at TEXT,
    restocked INTEGER CHECK (restocked IN (0, 1)),  -- whether the goods of a cancelled order may be sold again
    currency TEXT NOT NULL,
    subtotal_minor INTEGER NOT NULL,
    discount_minor INTEGER NOT NULL,
    shipping_minor INTEGER NOT NULL,
    total_minor INTEGER NOT NULL CHECK (total_minor >= 0),
    warehouse TEXT NOT NULL,
    ship_to TEXT NOT NULL,  -- JSON
    comment TEXT,
    placed_at TEXT NOT NULL,
    promised TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (held_from IN ('pending_payment', 'paid', 'reserved', 'ready_for_fulfilment', 'picking', 'packed')),
    CHECK (cancelled_from IN ('pending_payment', 'paid', 'reserved', 'ready_for_fulfilment', 'picking', 'packed', 'on_hold')),
    CHECK ((status = 'on_hold' OR cancelled_from IS 'on_hold') = (held_from IS NOT NULL)),
    CHECK ((status = 'cancelled') = (cancelled_from IS NOT NULL)),
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((status = 'cancelled') = (restocked IS NOT NULL))
) STRICT;

CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_status ON orders (status, number);

CREATE TABLE order_lines (
    order_id TEXT NOT NULL REFERENCES orders (id),
    place INTEGER NOT NULL,
    sku TEXT NOT NULL REFERENCES products (sku),
    qty INTEGER NOT NULL CHECK (qty > 0),
    unit_price_minor INTEGER NOT NULL,
    PRIMARY KEY (order_id, place)
) STRICT;

CREATE INDEX order_lines_sku ON order_lines (sku);

CREATE TABLE payments (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    captured_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    currency TEXT NOT NULL
) STRICT;

CREATE INDEX payments_order ON payments (order_id);

CREATE TABLE shipments (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    tracking_number TEXT NOT NULL
) STRICT;

CREATE INDEX shipments_order ON shipments (order_id);

CREATE TABLE pick_lists (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    warehouse TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'cancelled')),
    lines TEXT NOT NULL,  -- JSON, in bin order
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

-- An active hold ends at its time; whoever writes next settles it. A committed one stays until the order has left.
CREATE TABLE holds (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    order_id TEXT NOT NULL REFERENCES orders (id),
    warehouse TEXT NOT NULL,
    lines TEXT NOT NULL,  -- JSON: [{sku, qty}]
    status TEXT NOT NULL CHECK (status IN ('active', 'committed', 'shipped', 'released', 'expired', 'cancelled')),
    cancelled_from TEXT CHECK (cancelled_from IN ('active', 'committed')),
    pick_list_id TEXT REFERENCES pick_lists (id),
    made_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK ((status = 'cancelled') = (cancelled_from IS NOT NULL))
) STRICT;

CREATE INDEX holds_order ON holds (order_id);
CREATE INDEX holds_pick_list ON holds (pick_list_id) WHERE pick_list_id IS NOT NULL;
CREATE INDEX holds_ending ON holds (expires_at) WHERE status = 'active';

CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    subject_id TEXT NOT NULL,  -- an order or a product
    version INTEGER NOT NULL,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    field TEXT NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE INDEX changes_subject ON changes (subject_id, number);

CREATE TABLE sequences (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequences (kind, last) VALUES ('hold', 1000), ('pick', 1000);
