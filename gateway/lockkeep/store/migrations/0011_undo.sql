-- Calls can be taken back: by another call, governed like any, that stands in `undo_of`. One call is undone once.
CREATE TABLE calls_new (
    id           TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('denied','diverted','pending_approval','executing','succeeded','failed',
                                                'unknown','not_applied','needs_human','expired','cancelled','undone')),
    tool         TEXT NOT NULL,
    operation    TEXT NOT NULL,
    integration  TEXT NOT NULL,
    exported     TEXT NOT NULL,
    risk         TEXT NOT NULL,
    pin          TEXT NOT NULL,
    user         TEXT NOT NULL,
    agent        TEXT NOT NULL,
    host         TEXT NOT NULL,
    roles        TEXT NOT NULL,
    subject      TEXT,
    amount_minor INTEGER,
    currency     TEXT,
    key          TEXT,
    run          TEXT,
    step         TEXT,
    asked        TEXT NOT NULL,
    bound        TEXT,
    generation   INTEGER NOT NULL,
    rules        TEXT NOT NULL,
    verdicts     TEXT NOT NULL,
    approval     TEXT,
    retry_of     TEXT,
    undo_of      TEXT REFERENCES calls (id),
    deny         TEXT,
    reason       TEXT,
    withheld     INTEGER NOT NULL DEFAULT 0,
    tries        INTEGER NOT NULL DEFAULT 0,
    next_try     TEXT,
    at           TEXT NOT NULL,
    claimed_at   TEXT,
    settled_at   TEXT
) STRICT;
INSERT INTO calls_new (id, state, tool, operation, integration, exported, risk, pin, user, agent, host, roles, subject, amount_minor, currency, key, run, step, asked, bound, generation, rules, verdicts, approval, retry_of, deny, reason, withheld, tries, next_try, at, claimed_at, settled_at)
SELECT
    id, state, tool, operation, integration, exported, risk, pin, user, agent, host, roles, subject, amount_minor, currency,
    key, run, step, asked, bound, generation, rules, verdicts, approval, retry_of, deny, reason, withheld, tries, next_try,
    at, claimed_at, settled_at
FROM calls ORDER BY rowid;
DROP TABLE calls;
ALTER TABLE calls_new RENAME TO calls;
CREATE INDEX calls_asked ON calls (user, agent, asked, at);
CREATE INDEX calls_key ON calls (user, agent, key) WHERE key IS NOT NULL;
CREATE INDEX calls_run ON calls (run, step) WHERE run IS NOT NULL;
CREATE INDEX calls_open ON calls (state, at) WHERE state IN ('pending_approval','executing','unknown','needs_human');
CREATE INDEX calls_subject ON calls (tool, subject) WHERE state IN ('unknown','needs_human');
CREATE INDEX calls_at ON calls (at);
CREATE UNIQUE INDEX calls_undo_of ON calls (undo_of)
 WHERE undo_of IS NOT NULL AND state IN ('pending_approval', 'executing', 'succeeded', 'unknown', 'needs_human');

-- How a write can be taken back, as its manifest said when it was settled.
CREATE TABLE undo_records (
    call      TEXT PRIMARY KEY REFERENCES calls (id),
    restores  TEXT NOT NULL CHECK (restores IN ('exact', 'compensates', 'none')),
    residue   TEXT NOT NULL,          -- what stays
    until     TEXT,                   -- the last moment for it; NULL: none is said
    tool      TEXT,                   -- the tool that takes it back; NULL: there is none, and `why` says why
    arguments TEXT,
    images    TEXT NOT NULL,          -- {before, after, version, id} as the integration told them
    why       TEXT NOT NULL
) STRICT;

-- What a person asked to have taken back, and how far it is. The gateway works on it, newest call first.
CREATE TABLE undo_plans (
    id     TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    reason TEXT NOT NULL,
    state  TEXT NOT NULL CHECK (state IN ('looking', 'shown', 'running', 'done', 'stopped')),
    skip   INTEGER NOT NULL,          -- go on after a step that cannot be taken back
    at     TEXT NOT NULL,
    ended  TEXT
) STRICT;
CREATE INDEX undo_plans_open ON undo_plans (state) WHERE state IN ('looking', 'running');
CREATE TABLE undo_steps (
    plan   TEXT NOT NULL REFERENCES undo_plans (id),
    place  INTEGER NOT NULL,          -- 1: the newest call
    call   TEXT NOT NULL REFERENCES calls (id),
    says   TEXT NOT NULL,             -- what the look ahead found
    note   TEXT NOT NULL,
    undo   TEXT,                      -- the call that takes it back
    state  TEXT NOT NULL CHECK (state IN ('open', 'done', 'skipped', 'failed', 'unknown')),
    PRIMARY KEY (plan, place)
) STRICT;
ALTER TABLE switches ADD COLUMN undo_allowed_by TEXT;
