-- One place in a limit, taken when a call is parked or claimed and given back when nothing happened.
CREATE TABLE shares (
    rule TEXT NOT NULL,
    key  TEXT NOT NULL,
    call TEXT NOT NULL,
    at   TEXT NOT NULL,
    PRIMARY KEY (rule, key, call)
) STRICT;
CREATE INDEX shares_window ON shares (rule, key, at);
CREATE INDEX shares_call ON shares (call);
