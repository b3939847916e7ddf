CREATE TABLE approvals (
    id         TEXT PRIMARY KEY,
    call       TEXT NOT NULL REFERENCES calls (id),
    state      TEXT NOT NULL CHECK (state IN ('pending','approved','denied','expired','cancelled','superseded','void','consumed')),
    bound      TEXT NOT NULL,
    requester  TEXT NOT NULL,
    agent      TEXT NOT NULL,
    tool       TEXT NOT NULL,
    demands    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at         TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    use_by     TEXT,
    decided_at TEXT,
    note       TEXT
) STRICT;
CREATE INDEX approvals_open ON approvals (state, expires_at) WHERE state IN ('pending','approved');
CREATE INDEX approvals_call ON approvals (call);

CREATE TABLE votes (
    approval TEXT NOT NULL REFERENCES approvals (id),
    person   TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve','deny','confirm')),
    bound    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    channel  TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (approval, person)
) STRICT;
