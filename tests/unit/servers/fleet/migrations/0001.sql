CREATE TABLE receipts (
    key TEXT PRIMARY KEY,
    tool TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    receipt TEXT,
    images TEXT,
    at TEXT NOT NULL
) STRICT;

CREATE TABLE vans (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    plate TEXT NOT NULL,
    depot TEXT NOT NULL CHECK (depot IN ('north', 'south')),
    moves INTEGER NOT NULL DEFAULT 0,
    removed_at TEXT,
    version INTEGER NOT NULL DEFAULT 1
) STRICT;

INSERT INTO vans (number, id, plate, depot) VALUES
    (1, 'van_1', 'N 1', 'north'), (2, 'van_2', 'N 2', 'north'), (3, 'van_3', 'S 3', 'south'),
    (4, 'van_4', 'S 4', 'south'), (5, 'van_5', 'N 5', 'north');
