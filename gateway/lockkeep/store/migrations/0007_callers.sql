-- Secrets stand here as SHA-256 only. A token without an agent is a person's own: it votes and calls no tools.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    hash       TEXT NOT NULL UNIQUE,
    user       TEXT NOT NULL,
    agent      TEXT,
    by         TEXT NOT NULL,
    at         TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
CREATE TABLE sign_ins (
    hash       TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at    TEXT
) STRICT;
CREATE TABLE sessions (
    hash       TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    csrf       TEXT NOT NULL,
    at         TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
