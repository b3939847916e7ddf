-- Signed heads of the chain, each on disk before it leaves, and what every place outside has of them.
CREATE TABLE heads (
    id           INTEGER PRIMARY KEY,
    size         INTEGER NOT NULL,
    hash         TEXT NOT NULL,
    at           TEXT NOT NULL,
    installation TEXT NOT NULL,
    signature    TEXT NOT NULL
) STRICT;
CREATE TABLE sinks (
    name    TEXT PRIMARY KEY,
    head    INTEGER NOT NULL,
    at      TEXT,
    failure TEXT,
    since   TEXT
) STRICT;
