CREATE TABLE switches (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,
    mode       TEXT NOT NULL CHECK (mode IN ('pause','kill')),
    reason     TEXT NOT NULL,
    by         TEXT NOT NULL,
    at         TEXT NOT NULL,
    lifted_by  TEXT,
    lifted_at  TEXT,
    lift_note  TEXT
) STRICT;
CREATE INDEX switches_thrown ON switches (id) WHERE lifted_at IS NULL;

-- What the serving gateway has seen: `kill` returns when its own id stands here.
CREATE TABLE seen (
    gateway INTEGER PRIMARY KEY CHECK (gateway = 1),
    switch  INTEGER NOT NULL
) STRICT;
INSERT INTO seen VALUES (1, 0);
