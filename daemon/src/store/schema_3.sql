-- The step from version 2 of the schema to version 3, and the end of a fresh one.

ALTER TABLE plates ADD COLUMN subject TEXT;         -- whose, where the customer said so
ALTER TABLE plates ADD COLUMN schedule TEXT;        -- weekly hours (cardea_protocol::schedule); all where NULL
ALTER TABLE plates ADD COLUMN single_entry INTEGER NOT NULL DEFAULT 0;

-- Plates of a single entry that were let in: when they end. The plate's own row stays as the cloud knows it, until it says more.
CREATE TABLE entered (
    plate_id TEXT PRIMARY KEY,
    ends_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
