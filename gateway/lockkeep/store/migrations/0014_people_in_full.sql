-- Approvals in full: a yes can be taken back, one person may stand in for another, and an approver may ask for less.
CREATE TABLE approvals_new (
    id         TEXT PRIMARY KEY,
    call       TEXT NOT NULL REFERENCES calls (id),
    state      TEXT NOT NULL CHECK (state IN ('pending','approved','denied','expired','cancelled','superseded','void','consumed',
                                              'revoked')),
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
    note       TEXT,
    editor     TEXT                    -- who changed the call before: they do not vote on it
) STRICT;
INSERT INTO approvals_new (id, call, state, bound, requester, agent, tool, demands, reason, at, expires_at, use_by, decided_at, note)
SELECT id, call, state, bound, requester, agent, tool, demands, reason, at, expires_at, use_by, decided_at, note
  FROM approvals ORDER BY rowid;
DROP TABLE approvals;
ALTER TABLE approvals_new RENAME TO approvals;
CREATE INDEX approvals_open ON approvals (state, expires_at) WHERE state IN ('pending','approved');
CREATE INDEX approvals_call ON approvals (call);

CREATE TABLE votes_new (
    approval TEXT NOT NULL REFERENCES approvals (id),
    person   TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve','deny','confirm','withdrawn')),
    bound    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    channel  TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (approval, person)
) STRICT;
INSERT INTO votes_new SELECT approval, person, decision, bound, reason, channel, at FROM votes ORDER BY rowid;
DROP TABLE votes;
ALTER TABLE votes_new RENAME TO votes;

-- `who` lets `stand_in` sit on their seat: in these groups, or (empty) wherever they sit themselves.
CREATE TABLE delegations (
    id         INTEGER PRIMARY KEY,
    who        TEXT NOT NULL,
    stand_in   TEXT NOT NULL,
    groups     TEXT NOT NULL,
    starts     TEXT NOT NULL,
    ends       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at         TEXT NOT NULL,
    revoked_at TEXT
) STRICT;

-- A parked call that an approver changed: it is cancelled, and another one, decided anew, takes its place.
ALTER TABLE calls ADD COLUMN successor TEXT;
CREATE TABLE edits (
    successor TEXT PRIMARY KEY,        -- the id of the new call
    call      TEXT NOT NULL REFERENCES calls (id),
    editor    TEXT NOT NULL,
    arguments TEXT NOT NULL,
    said      TEXT NOT NULL,           -- what was changed, for the agent
    at        TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('open','done'))
) STRICT;
CREATE INDEX edits_open ON edits (at) WHERE state = 'open';

-- `drain`: writes stop, and the command waits until what is on the wire has ended.
CREATE TABLE switches_new (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,
    mode       TEXT NOT NULL CHECK (mode IN ('pause','drain','kill')),
    reason     TEXT NOT NULL,
    by         TEXT NOT NULL,
    at         TEXT NOT NULL,
    lifted_by  TEXT,
    lifted_at  TEXT,
    lift_note  TEXT,
    undo_allowed_by TEXT
) STRICT;
INSERT INTO switches_new SELECT id, scope, mode, reason, by, at, lifted_by, lifted_at, lift_note, undo_allowed_by FROM switches;
DROP TABLE switches;
ALTER TABLE switches_new RENAME TO switches;
CREATE INDEX switches_thrown ON switches (id) WHERE lifted_at IS NULL;
