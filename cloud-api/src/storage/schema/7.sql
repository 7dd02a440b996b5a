-- Version 7: subjects' keys leave for a store of their own, which no backup of this database contains (`schema/keys/`).

-- Templates referred to the keys that stood here; a constraint cannot be dropped everywhere, so the table is made anew.
ALTER TABLE templates RENAME TO templates_7;
DROP INDEX templates_subject;
CREATE TABLE templates (
    template_id  TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL REFERENCES sites,
    subject      TEXT NOT NULL,
    model        TEXT NOT NULL,                     -- embedder id of the model pack
    ciphertext   BLOB NOT NULL,                     -- nonce and ChaCha20-Poly1305 ciphertext, associated data = template_id
    content_hash BLOB NOT NULL,                     -- cardea_protocol::digest::template_hash, for the digest
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO templates SELECT * FROM templates_7;
DROP TABLE templates_7;
CREATE INDEX templates_subject ON templates (site_id, subject);

-- `subject_keys` stays only until its rows are moved, at the next start; it is empty from then on.

-- The key store this database belongs to. One row.
CREATE TABLE key_store (
    store_id    TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Entries of the erasure journal (in the key store) whose consequences this database holds. What is not named here is
-- carried out at the next start: after a crash, or after a restored backup.
CREATE TABLE journal_applied (
    entry_id    TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
