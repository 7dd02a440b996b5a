-- Version 4: accounts that work at some sites only, and answers that a repeated call gets again.

-- The sites an installer was given. An installer without a row can do nothing.
CREATE TABLE principal_sites (
    principal_id TEXT NOT NULL REFERENCES principals,
    site_id      TEXT NOT NULL REFERENCES sites,
    given_at     INTEGER NOT NULL,
    PRIMARY KEY (principal_id, site_id)
) STRICT, WITHOUT ROWID;

-- What a call with an Idempotency-Key was answered. Kept for a day.
CREATE TABLE idempotent_answers (
    principal_id TEXT NOT NULL REFERENCES principals,
    idempotency_key TEXT NOT NULL,
    fingerprint  BLOB NOT NULL,                     -- HMAC, under the cloud's key file, of operation, path and body
    begun_at     INTEGER NOT NULL,
    status       INTEGER,                           -- NULL: not answered yet
    location     TEXT,
    etag         TEXT,
    body         TEXT,                              -- never a claim code, a plate or a card's number
    PRIMARY KEY (principal_id, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_answers_begun ON idempotent_answers (begun_at);
