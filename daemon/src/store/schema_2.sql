-- The step from version 1 of the schema to version 2, and the end of a fresh one.

-- Who is inside which area, for anti-passback. Rows of whoever is held no more go with them.
CREATE TABLE inside (
    area   TEXT NOT NULL,                           -- as the configuration names it
    kind   TEXT NOT NULL CHECK (kind IN ('subject', 'plate', 'card')),
    holder TEXT NOT NULL,                           -- subject token, plate_id, or the hash of a card
    since  INTEGER NOT NULL,
    mono   INTEGER,                                 -- the same, monotonic milliseconds (CLOCK_BOOTTIME)
    boot   TEXT,                                    -- of this boot of the machine; of another, mono means nothing
    PRIMARY KEY (area, kind, holder)
) STRICT, WITHOUT ROWID;

-- Access points that an order has locked down, until an order ends it. An order to hold open is never kept.
CREATE TABLE lockdowns (
    access_point TEXT PRIMARY KEY,
    since        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Admitted cards, by the hash of their number (cardea_protocol::card). Removing a card removes the row.
CREATE TABLE cards (
    card_id     TEXT PRIMARY KEY,
    hash        TEXT NOT NULL,
    subject     TEXT,                               -- whose, where the customer said so
    valid_from  INTEGER,
    valid_until INTEGER
) STRICT, WITHOUT ROWID;
