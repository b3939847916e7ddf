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

CREATE INDEX receipts_begun ON receipts (at) WHERE state = 'started';

-- Every message there ever was. A mail waits in `queued`; a post is `sending` from the start.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('mail', 'chat')),
    version INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    ref TEXT,
    subject TEXT,
    body TEXT NOT NULL,
    template_id TEXT,
    reference TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'cancelled', 'expired', 'unknown')),
    due_at TEXT NOT NULL,
    not_before TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    claimed_by TEXT,
    lease_until TEXT,
    place TEXT,
    why TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK ((kind = 'mail') = (subject IS NOT NULL)),
    CHECK (kind = 'mail' OR status <> 'queued'),
    CHECK ((claimed_by IS NULL) = (lease_until IS NULL)),
    CHECK (status = 'sending' OR status = 'unknown' OR claimed_by IS NULL)
) STRICT;

CREATE INDEX messages_waiting ON messages (status, not_before) WHERE status IN ('queued', 'sending');
CREATE INDEX messages_ref ON messages (ref);

-- Mail the embedded transport has delivered.
CREATE TABLE outbox (
    reference TEXT PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;

-- What the embedded chat shows now.
CREATE TABLE posts (
    reference TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    text TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;

CREATE TABLE templates (
    id TEXT NOT NULL,
    locale TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    variables TEXT NOT NULL,
    PRIMARY KEY (id, locale)
) STRICT;

-- `address` as mail systems compare it.
CREATE TABLE recipients (
    address TEXT PRIMARY KEY,
    locale TEXT NOT NULL,
    tz TEXT NOT NULL,
    quiet_from TEXT NOT NULL,
    quiet_to TEXT NOT NULL
) STRICT;

CREATE TABLE suppressed (
    address TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;

-- The one queue: paused or not, by whose word.
CREATE TABLE queue (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
    reason TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

INSERT INTO queue (one, paused, reason, version, updated_at) VALUES (1, 0, '', 1, '');

CREATE TABLE sequences (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequences (kind, last) VALUES ('message', 100000);
