-- What people are told elsewhere: written with the event itself, then delivered to each channel of gateway.yaml.
CREATE TABLE notices (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT NOT NULL UNIQUE,       -- the same in every channel and on every try: a duplicate is known by it
    event  TEXT NOT NULL,
    about  TEXT NOT NULL,              -- the approval, or the number of the switch
    at     TEXT NOT NULL,
    shared INTEGER NOT NULL DEFAULT 0  -- 1: a delivery stands there for every channel that wants it
) STRICT;
CREATE INDEX notices_new ON notices (seq) WHERE shared = 0;
CREATE TABLE deliveries (
    notice   INTEGER NOT NULL REFERENCES notices (seq),
    channel  TEXT NOT NULL,
    about    TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('due','sent','given_up')),
    tries    INTEGER NOT NULL DEFAULT 0,
    next_try TEXT NOT NULL,
    place    TEXT,                     -- where it stands in the channel, so that it can be renewed
    problem  TEXT,                     -- why the last try failed
    PRIMARY KEY (notice, channel)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (channel, about, notice) WHERE state = 'due';
CREATE INDEX deliveries_about ON deliveries (about, channel);

-- Each press of a button is heard once, however often it arrives.
CREATE TABLE envelopes (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT;

-- What a channel that listens says of its own connection.
CREATE TABLE listening (
    channel TEXT PRIMARY KEY,
    problem TEXT NOT NULL,
    at      TEXT NOT NULL
) STRICT;
