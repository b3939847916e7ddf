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

CREATE TABLE owners (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    tz TEXT NOT NULL,
    capacity INTEGER NOT NULL CHECK (capacity >= 0),
    active INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;

CREATE TABLE owner_countries (
    owner_id TEXT NOT NULL REFERENCES owners (id),
    territory TEXT NOT NULL,
    country TEXT NOT NULL,
    PRIMARY KEY (owner_id, country)
) STRICT;

CREATE TABLE directory (
    domain TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    industry TEXT NOT NULL,
    employees INTEGER NOT NULL,
    source TEXT NOT NULL,
    as_of TEXT NOT NULL
) STRICT;

-- One row a record, whatever its kind; what a kind does not have is NULL.
CREATE TABLE records (
    number INTEGER PRIMARY KEY,  -- grows with each row: pages follow it, so they lose and double nothing
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('lead', 'contact', 'company', 'deal', 'activity')),
    version INTEGER NOT NULL DEFAULT 1,
    name TEXT,
    email TEXT,
    email_key TEXT,
    company TEXT,
    domain TEXT,
    country TEXT,
    phone TEXT,
    source TEXT,
    industry TEXT,
    employees INTEGER CHECK (employees >= 0),
    value_minor INTEGER CHECK (value_minor > 0),
    currency TEXT,
    stage TEXT,
    owner_id TEXT REFERENCES owners (id),
    lost_reason TEXT,
    won_minor INTEGER CHECK (won_minor > 0),
    won_currency TEXT,
    about_id TEXT REFERENCES records (id),
    type TEXT CHECK (type IN ('note', 'call', 'email', 'task')),
    body TEXT,
    due TEXT,
    archived_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (kind <> 'lead' OR (stage IN ('new', 'assigned', 'contacted', 'qualified', 'converted', 'disqualified'))),
    CHECK (kind <> 'deal' OR (stage IN ('appointment_scheduled', 'qualified_to_buy', 'presentation', 'contract_sent',
                                        'closed_won', 'closed_lost'))),
    CHECK (kind <> 'lead' OR stage <> 'new' OR owner_id IS NULL),
    CHECK (kind <> 'lead' OR stage <> 'assigned' OR owner_id IS NOT NULL),
    CHECK ((stage = 'closed_won') = (won_minor IS NOT NULL) OR kind <> 'deal'),
    CHECK ((value_minor IS NULL) = (currency IS NULL)),
    CHECK ((won_minor IS NULL) = (won_currency IS NULL)),
    CHECK (kind <> 'activity' OR (about_id IS NOT NULL AND type IS NOT NULL AND body IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX records_email ON records (kind, email_key) WHERE email_key IS NOT NULL AND archived_at IS NULL;
CREATE INDEX records_kind ON records (kind, number);
CREATE INDEX records_owner ON records (owner_id) WHERE kind = 'lead';
CREATE INDEX records_about ON records (about_id) WHERE about_id IS NOT NULL;

CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL REFERENCES records (id),
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

INSERT INTO sequences (kind, last) VALUES ('lead', 1000), ('activity', 1000);
