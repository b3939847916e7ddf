-- The one chain of this store. `record` holds the very bytes that `hash` covers; `prev` stands inside them.
CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY,
    hash   TEXT NOT NULL,
    record TEXT NOT NULL,
    call   TEXT,
    type   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_call ON audit (call) WHERE call IS NOT NULL;
