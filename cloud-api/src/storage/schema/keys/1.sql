-- The key store: a file of its own, in no backup of the data. Times are milliseconds since the Unix epoch, UTC.

-- Which store this is. One row; a database names the store it belongs to.
CREATE TABLE store (
    store_id    TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The key each subject's templates are encrypted under, itself encrypted under the cloud's key file. Erasure deletes
-- this row before anything else: whatever a backup, a flash page or a stray copy still holds is then noise.
CREATE TABLE subject_keys (
    site_id     TEXT NOT NULL,
    subject     TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,                      -- nonce (12 bytes) and ChaCha20-Poly1305 ciphertext
    PRIMARY KEY (site_id, subject)
) STRICT, WITHOUT ROWID;

-- The erasure journal: what may never come back, whatever backup of the data is restored. Rows are only ever added.
CREATE TABLE journal (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id    TEXT NOT NULL UNIQUE,               -- random: a store restored from a copy never gives one out twice
    kind        TEXT NOT NULL CHECK (kind IN ('erased', 'blocked')),
    site_id     TEXT NOT NULL,
    value_hmac  BLOB NOT NULL,                      -- of the subject, plate or card, under the cloud's key file: it names nobody
    sale_id     TEXT,                               -- the sale that ordered it
    customer_id TEXT,                               -- who ordered the sale
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_value ON journal (site_id, value_hmac);
