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

CREATE TABLE calendars (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    tz TEXT NOT NULL
) STRICT;

-- An event, a series (rrule), or what replaces one occurrence of a series (series_id, occurrence).
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    calendar TEXT NOT NULL REFERENCES calendars (id),
    series_id TEXT REFERENCES events (id),
    occurrence TEXT,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    title TEXT NOT NULL,
    location TEXT,
    description TEXT,
    attendees TEXT NOT NULL,
    all_day INTEGER NOT NULL CHECK (all_day IN (0, 1)),
    tz TEXT NOT NULL,
    wall TEXT NOT NULL,
    length_s INTEGER NOT NULL CHECK (length_s > 0),
    starts TEXT NOT NULL,
    ends TEXT NOT NULL,
    rrule TEXT,
    status TEXT NOT NULL CHECK (status IN ('confirmed', 'tentative', 'cancelled')),
    transparent INTEGER NOT NULL CHECK (transparent IN (0, 1)),
    updated_at TEXT NOT NULL,
    CHECK ((series_id IS NULL) = (occurrence IS NULL)),
    CHECK (series_id IS NULL OR rrule IS NULL),
    CHECK (starts < ends),
    UNIQUE (series_id, occurrence)
) STRICT;

CREATE INDEX events_calendar ON events (calendar, starts);

-- Who was to be told of what; nothing leaves this machine from here.
CREATE TABLE notices (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    attendee TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('invited', 'changed', 'cancelled')),
    at TEXT NOT NULL
) STRICT;

CREATE TABLE sequences (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO sequences (kind, last) VALUES ('event', 100000);
