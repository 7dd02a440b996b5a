-- Version 10: webhooks.

-- Where somebody wants to be told what happens.
CREATE TABLE webhooks (
    webhook_id      TEXT PRIMARY KEY,
    customer_id     TEXT REFERENCES customers,      -- NULL: the operator's own
    url             TEXT NOT NULL,                  -- https
    secret          BLOB NOT NULL,                  -- what messages are signed with: nonce and ChaCha20-Poly1305 ciphertext, under the key file
    former_secret   BLOB,                           -- the one before a rotation, in the same form: it signs too
    former_until    INTEGER,                        -- until then
    created_at      INTEGER NOT NULL,
    disabled_at     INTEGER,                        -- when the receiver said that it is gone
    failing_since   INTEGER,                        -- the first failed attempt since the last success
    last_message    TEXT,                           -- the newest attempt: of which message
    last_attempt_at INTEGER,
    last_outcome    TEXT,                           -- webhooks::Outcome
    last_status     INTEGER                         -- HTTP status, if there was an answer
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_customer ON webhooks (customer_id);

-- What each wants to be told.
CREATE TABLE webhook_kinds (
    webhook_id      TEXT NOT NULL REFERENCES webhooks,
    kind            TEXT NOT NULL,                  -- webhooks::Kind
    PRIMARY KEY (webhook_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_kinds_kind ON webhook_kinds (kind);

-- What is still to be told: written in the transaction that does what it tells of. A row ends with success, with the last
-- attempt, or with its webhook.
CREATE TABLE webhook_messages (
    message_id      TEXT PRIMARY KEY,               -- webhook-id of Standard Webhooks: the same at each attempt
    webhook_id      TEXT NOT NULL REFERENCES webhooks,
    body            TEXT NOT NULL,                  -- JSON: kind, time and ids, nothing else
    attempts        INTEGER NOT NULL,               -- begun so far
    next_attempt_at INTEGER NOT NULL                -- while one is under way: when it counts as lost
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_messages_due ON webhook_messages (webhook_id, next_attempt_at);

-- Sales that are not in force everywhere yet, whose completion is still to be told.
CREATE TABLE sales_under_way (
    sale_id         TEXT PRIMARY KEY REFERENCES sales,
    site_id         TEXT NOT NULL REFERENCES sites,
    revision        INTEGER NOT NULL                -- of the site: what every active controller has to have applied
) STRICT, WITHOUT ROWID;
