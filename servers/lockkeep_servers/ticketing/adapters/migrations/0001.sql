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

CREATE TABLE people (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT
) STRICT;

CREATE TABLE groups (
    id TEXT PRIMARY KEY
) STRICT;

CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    group_id TEXT NOT NULL REFERENCES groups (id),
    active INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;

CREATE TABLE tickets (
    number INTEGER PRIMARY KEY,  -- grows with each row: pages follow it, so they lose and double nothing
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 1,
    external_id TEXT,
    requester_id TEXT REFERENCES people (id),  -- NULL: nobody we know, only a name and an address
    requester_name TEXT NOT NULL,
    requester_email TEXT,
    subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('new', 'open', 'pending', 'hold', 'solved', 'closed')),
    priority TEXT CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    type TEXT CHECK (type IN ('question', 'problem', 'refund', 'delivery', 'invoice', 'account')),
    group_id TEXT REFERENCES groups (id),
    assignee_id TEXT REFERENCES agents (id),
    tags TEXT NOT NULL CHECK (json_valid(tags)),
    order_id TEXT,
    shipment_id TEXT,
    resolution TEXT,
    first_replied_at TEXT,
    first_reply_due TEXT,
    solve_due TEXT,
    made_by TEXT NOT NULL,
    withdrawn_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK ((status IN ('solved', 'closed')) = (resolution IS NOT NULL)),
    CHECK ((priority IS NULL) = (solve_due IS NULL) AND (priority IS NULL) = (first_reply_due IS NULL))
) STRICT;

CREATE UNIQUE INDEX tickets_external ON tickets (external_id) WHERE external_id IS NOT NULL AND withdrawn_at IS NULL;
CREATE INDEX tickets_requester ON tickets (requester_id);

CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    ticket_id TEXT NOT NULL REFERENCES tickets (id),
    kind TEXT NOT NULL CHECK (kind IN ('request', 'reply', 'note')),  -- a request is the customer's
    by TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL,
    withdrawn_at TEXT,
    CHECK (withdrawn_at IS NULL OR kind = 'note')  -- what a customer wrote or read is never taken back
) STRICT;

CREATE INDEX messages_ticket ON messages (ticket_id, number);

-- A ticket that is closed stays as it is, whoever writes.
CREATE TRIGGER closed_is_final BEFORE UPDATE ON tickets WHEN OLD.status = 'closed'
BEGIN
    SELECT RAISE(ABORT, 'closed is final');
END;

CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    ticket_id TEXT NOT NULL REFERENCES tickets (id),
    version INTEGER NOT NULL,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    field TEXT NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    reason TEXT
) STRICT;

CREATE INDEX changes_ticket ON changes (ticket_id, number);

-- Searched through articles_index where SQLite has FTS5; see knowledge.py.
CREATE TABLE articles (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    url TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE sequences (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequences (kind, last) VALUES ('ticket', 1000), ('message', 10000);
