-- When a person first opened the card of an approval: how long they looked at it before they decided.
CREATE TABLE cards_opened (
    approval TEXT NOT NULL REFERENCES approvals (id),
    person   TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (approval, person)
) STRICT;
