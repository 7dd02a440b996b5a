-- Version 5: the texts that residents consent to.

-- Each version as a customer has recorded it, for good: a consent names one, and proves nothing without it.
CREATE TABLE consent_texts (
    text_id     TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers,
    version     TEXT NOT NULL,                      -- what a consent names as its document_version
    language    TEXT NOT NULL,                      -- BCP 47
    body        TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (customer_id, version)
) STRICT, WITHOUT ROWID;
