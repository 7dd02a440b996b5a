-- Version 12: plates and hashes of cards lie under the vault (keys/vault.key), so that whoever reads this database alone
-- learns none. What is `sealed` is a nonce (12 bytes) and ChaCha20-Poly1305 ciphertext, bound to its site and row; a `lookup` is
-- an HMAC-SHA-256 of site and value, by which equal values of a site are found (`keys/columns.rs`).

-- Rows wait here for the program, which seals them in this very transaction; version 13 drops the tables.
ALTER TABLE plates RENAME TO plates_11;
DROP INDEX plates_subject;
ALTER TABLE cards RENAME TO cards_11;
DROP INDEX cards_subject;

-- Admitted plates. Removing a plate removes the row.
CREATE TABLE plates (
    plate_id     TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL REFERENCES sites,
    sealed_plate BLOB NOT NULL,                     -- in canonical form
    plate_lookup BLOB NOT NULL,
    subject      TEXT,                              -- whose, where the customer said so: then a sale of the flat ends it
    schedule     TEXT,                              -- weekly hours (cardea_protocol::schedule); all where NULL
    single_entry INTEGER NOT NULL DEFAULT 0,
    valid_from   INTEGER,
    valid_until  INTEGER,
    created_at   INTEGER NOT NULL,
    UNIQUE (site_id, plate_lookup)
) STRICT, WITHOUT ROWID;
CREATE INDEX plates_subject ON plates (site_id, subject);

-- Admitted cards. The number itself is never stored. Removing a card removes the row.
CREATE TABLE cards (
    card_id     TEXT PRIMARY KEY,
    site_id     TEXT NOT NULL REFERENCES sites,
    sealed_hash BLOB NOT NULL,                      -- of the number (cardea_protocol::card)
    hash_lookup BLOB NOT NULL,
    subject     TEXT,                               -- whose, where the customer said so: then a sale of the flat ends it
    valid_from  INTEGER,
    valid_until INTEGER,
    created_at  INTEGER NOT NULL,
    UNIQUE (site_id, hash_lookup)
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_subject ON cards (site_id, subject);

-- The digest a controller reported is a hash of what it holds: of one plate alone it would tell which. It is reported again.
ALTER TABLE controllers DROP COLUMN digest;
ALTER TABLE controllers ADD COLUMN sealed_digest BLOB;

-- From here on `idempotency_key` in `commands` and `idempotent_answers` is a lookup of what the caller sent, hexadecimal.

-- Tells which key file the sealed columns are under: any other is refused at start. NULL until the database has been written
-- anew after sealing.
ALTER TABLE key_store ADD COLUMN vault_mark BLOB;
