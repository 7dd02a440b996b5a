-- The controller's database. Times are milliseconds since the Unix epoch, UTC, unless said otherwise. STRICT tables;
-- ids are the texts of `cardea_protocol::id`. Nothing here names a person: subjects are the customer's opaque tokens,
-- and no photo, no crop and no plate of a stranger is ever written.

-- Admitted plates, in canonical form. Removing a plate removes the row.
CREATE TABLE plates (
    plate_id    TEXT PRIMARY KEY,
    plate       TEXT NOT NULL,
    valid_from  INTEGER,                            -- NULL: no beginning
    valid_until INTEGER                             -- first instant no more; NULL: no end
) STRICT, WITHOUT ROWID;

-- The key each subject's templates are encrypted under, itself encrypted under the file `device.key`. Erasure deletes
-- this row first: whatever a flash page or a stray copy still holds is then noise.
CREATE TABLE subject_keys (
    subject     TEXT PRIMARY KEY,
    wrapped_key BLOB NOT NULL                       -- nonce (12 bytes) and ChaCha20-Poly1305 ciphertext, associated data = subject
) STRICT, WITHOUT ROWID;

-- Biometric references (ISO/IEC 2382-37), encrypted.
CREATE TABLE templates (
    template_id TEXT PRIMARY KEY,
    subject     TEXT NOT NULL REFERENCES subject_keys ON DELETE CASCADE,
    ciphertext  BLOB NOT NULL                       -- nonce (12 bytes) and ChaCha20-Poly1305 ciphertext, associated data = template_id
) STRICT, WITHOUT ROWID;
CREATE INDEX templates_subject ON templates (subject);

-- Where this controller stands; one row.
CREATE TABLE standing (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    cursor         INTEGER NOT NULL,                -- the last revision applied
    revision_floor INTEGER NOT NULL,                -- the highest ever applied: an older snapshot is refused
    clock_floor    INTEGER NOT NULL,                -- time proven to have passed: the cloud's statements plus running time
    fresh_revision INTEGER,                         -- the last freshness statement: the revision it called current,
    fresh_at       INTEGER,                         -- its date, by the cloud's clock,
    fresh_received INTEGER,                         -- when it came, monotonic milliseconds (CLOCK_BOOTTIME)
    fresh_boot     TEXT                             -- of this boot of the machine; of another, fresh_received means nothing
) STRICT;
INSERT INTO standing (one, cursor, revision_floor, clock_floor) VALUES (1, 0, 0, 0);

-- Orders that were seen, recorded before they are acted upon; each acts at most once, also across a restart.
CREATE TABLE seen_commands (
    command_id TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL,                    -- rows are kept for a day longer
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events on their way to the cloud, deleted when it has stored them. Numbers are never used again.
CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     TEXT NOT NULL UNIQUE,
    at           INTEGER NOT NULL,
    access_point TEXT,
    kind         TEXT NOT NULL,                     -- JSON of cardea_protocol::event::EventKind
    worth        INTEGER NOT NULL,                  -- 0 goes first when there is no room; 3 stays
    bytes        INTEGER NOT NULL,                  -- what the row counts against the bound
    offered      INTEGER NOT NULL DEFAULT 0         -- 1: has been sent at least once
) STRICT;
CREATE INDEX outbox_worth ON outbox (worth, seq);

-- How much the outbox holds, kept by the triggers so that the bound costs no count; one row.
CREATE TABLE outbox_size (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    rows  INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO outbox_size (one, rows, bytes) VALUES (1, 0, 0);
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    UPDATE outbox_size SET rows = rows + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_size SET rows = rows - 1, bytes = bytes - old.bytes;
END;

-- Orders to erase a subject, from the transaction that carried them out until the cloud has stored the receipt.
CREATE TABLE erasures (
    erasure_id       TEXT PRIMARY KEY,
    revision         INTEGER NOT NULL,              -- the revision that carried the order
    templates_erased INTEGER NOT NULL,
    marks            BLOB NOT NULL,                 -- the erased ciphertexts' nonces, inverted: random bytes to look for in the files after a crash; emptied once checked
    verified         INTEGER,                       -- NULL: files not yet checked; 1: no trace found; 0: found even after rewriting
    receipt_jws      TEXT                           -- the signed receipt; NULL: the access task has not yet rebuilt its gallery
) STRICT, WITHOUT ROWID;
