-- Version 9: plates that are somebody's, count at some hours or are good for one entry; passes for guests.

ALTER TABLE plates ADD COLUMN subject TEXT;         -- whose, where the customer said so: then a sale of the flat ends it
ALTER TABLE plates ADD COLUMN schedule TEXT;        -- weekly hours (cardea_protocol::schedule); all where NULL
ALTER TABLE plates ADD COLUMN single_entry INTEGER NOT NULL DEFAULT 0;
CREATE INDEX plates_subject ON plates (site_id, subject);

-- A pass is a guest's plate, or good for one opening by order.
CREATE TABLE guest_passes (
    pass_id      TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL REFERENCES sites,
    subject      TEXT,                              -- the host, where the customer said so: a sale of the flat ends the pass
    plate_id     TEXT,                              -- of the guest's plate; NULL: the pass is opened with by order
    single_entry INTEGER NOT NULL,
    valid_from   INTEGER NOT NULL,
    valid_until  INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    used_at      INTEGER,                           -- the single entry was had
    used_by      TEXT,                              -- by this command, where it was one
    ended_at     INTEGER                            -- taken back, or sold away
) STRICT, WITHOUT ROWID;
CREATE INDEX guest_passes_site ON guest_passes (site_id, subject);
CREATE INDEX guest_passes_plate ON guest_passes (plate_id);

ALTER TABLE commands ADD COLUMN pass_id TEXT;       -- the guest pass that was opened with
