-- What a vendor adapter keeps here: its receipts. While a write is under way, `images` holds its plan,
-- and `owner` is the process that may send it.
CREATE TABLE receipts (
    key TEXT PRIMARY KEY,
    tool TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'committed', 'unknown', 'cancelled')),
    receipt TEXT,
    images TEXT,
    at TEXT NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'committed') = (receipt IS NOT NULL)),
    CHECK (owner = '' OR state = 'started'),
    CHECK (images IS NOT NULL OR state IN ('committed', 'cancelled'))
) STRICT;
