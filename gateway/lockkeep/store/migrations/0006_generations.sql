-- Every policy set that was ever in force, whole.
CREATE TABLE generations (
    id      INTEGER PRIMARY KEY,
    digest  TEXT NOT NULL,
    content TEXT NOT NULL,
    by      TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      TEXT NOT NULL
) STRICT;
