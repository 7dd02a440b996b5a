-- The cloud's database. Times are milliseconds since the Unix epoch, UTC. STRICT tables; ids are the texts of
-- `cardea_protocol::id`. Nothing here names a person: subjects are the customer's opaque tokens.

-- A house or another place with a common set of admitted credentials, and the head of its change log.
CREATE TABLE sites (
    site_id     TEXT PRIMARY KEY,
    address     TEXT NOT NULL,                      -- postal address of the building, for people; never a flat
    revision    INTEGER NOT NULL DEFAULT 0,         -- the newest row of `changes` for this site
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A property developer or managing company: the tenant.
CREATE TABLE customers (
    customer_id TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which customer is served at which site. A site has at most one customer; every query of a customer goes through here.
CREATE TABLE customer_sites (
    site_id     TEXT PRIMARY KEY REFERENCES sites,
    customer_id TEXT NOT NULL REFERENCES customers
) STRICT, WITHOUT ROWID;

-- Who may ask the token endpoint for a token. One row per credential.
CREATE TABLE principals (
    principal_id  TEXT PRIMARY KEY,                 -- OAuth client_id, or the login of the password grant
    customer_id   TEXT REFERENCES customers,        -- NULL: the operator's own staff
    role          TEXT NOT NULL,                    -- see auth/roles.rs
    password_hash TEXT,                             -- Argon2id PHC string; NULL: no password grant
    subject_dn    TEXT,                             -- RFC 8705 tls_client_auth_subject_dn; NULL: no client_credentials
    disabled_at   INTEGER,
    created_at    INTEGER NOT NULL,
    CHECK (password_hash IS NOT NULL OR subject_dn IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- A chain of refresh tokens that began with one login. Reuse of a spent token revokes the whole family.
CREATE TABLE refresh_families (
    family_id       TEXT PRIMARY KEY,
    principal_id    TEXT NOT NULL REFERENCES principals,
    cert_thumbprint TEXT NOT NULL,                  -- RFC 8705 x5t#S256 of the client certificate it is bound to
    rotates         INTEGER NOT NULL,               -- 1 for password logins, 0 where the certificate is the credential
    expires_at      INTEGER NOT NULL,
    revoked_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_tokens (
    token_hash  BLOB PRIMARY KEY,                   -- SHA-256 of the token; the token itself is never stored
    family_id   TEXT NOT NULL REFERENCES refresh_families,
    generation  INTEGER NOT NULL,                   -- position in the family; a successor is derived from it, so that a retry gets the same one
    issued_at   INTEGER NOT NULL,
    spent_at    INTEGER                             -- when it was exchanged
) STRICT, WITHOUT ROWID;

-- Admitted plates, in canonical form. Removing a plate removes the row.
CREATE TABLE plates (
    plate_id    TEXT PRIMARY KEY,
    site_id     TEXT NOT NULL REFERENCES sites,
    plate       TEXT NOT NULL,
    valid_from  INTEGER,
    valid_until INTEGER,
    created_at  INTEGER NOT NULL,
    UNIQUE (site_id, plate)
) STRICT, WITHOUT ROWID;

-- A resident's consent to the processing of biometrics (152-FZ art. 11): recorded before any photo, kept as evidence
-- after withdrawal. At most one is active per subject and site.
CREATE TABLE consents (
    consent_id       TEXT PRIMARY KEY,
    site_id          TEXT NOT NULL REFERENCES sites,
    subject          TEXT NOT NULL,
    document_version TEXT NOT NULL,
    given_at         INTEGER NOT NULL,
    evidence_sha256  TEXT NOT NULL,                 -- of the signed document, which stays with the customer
    recorded_at      INTEGER NOT NULL,
    ended_at         INTEGER,                       -- NULL: active
    ended_by         TEXT CHECK (ended_by IN ('withdrawal', 'property-sale'))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX consents_active ON consents (site_id, subject) WHERE ended_at IS NULL;

-- The key each subject's templates are encrypted under, itself encrypted under the cloud's key file. Erasure deletes
-- this row first: whatever a flash page or a stray copy still holds is then noise.
CREATE TABLE subject_keys (
    site_id     TEXT NOT NULL REFERENCES sites,
    subject     TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,                      -- nonce (12 bytes) and ChaCha20-Poly1305 ciphertext
    PRIMARY KEY (site_id, subject)
) STRICT, WITHOUT ROWID;

-- Biometric references (ISO/IEC 2382-37), encrypted. The photo they came from was never stored.
CREATE TABLE templates (
    template_id  TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL,
    subject      TEXT NOT NULL,
    model        TEXT NOT NULL,                     -- embedder id of the model pack
    ciphertext   BLOB NOT NULL,                     -- nonce and ChaCha20-Poly1305 ciphertext, associated data = template_id
    content_hash BLOB NOT NULL,                     -- cardea_protocol::digest::template_hash, for the digest
    created_at   INTEGER NOT NULL,
    FOREIGN KEY (site_id, subject) REFERENCES subject_keys ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX templates_subject ON templates (site_id, subject);

-- A site's ordered change log: what happened, by reference. The data stays in its own table, so that erasing it there
-- erases it here; a row whose data is gone is sent as `superseded`.
CREATE TABLE changes (
    site_id     TEXT NOT NULL REFERENCES sites,
    revision    INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN
                    ('plate-admitted', 'plate-removed', 'template-added', 'subject-erased', 'property-sold')),
    ref_id      TEXT NOT NULL,                      -- plate_id, template_id, erasure_id or sale_id
    at          INTEGER NOT NULL,
    PRIMARY KEY (site_id, revision)
) STRICT, WITHOUT ROWID;

-- One property sale: plates and subjects blocked together.
CREATE TABLE sales (
    sale_id     TEXT PRIMARY KEY,
    site_id     TEXT NOT NULL REFERENCES sites,
    customer_id TEXT NOT NULL REFERENCES customers,
    plates      INTEGER NOT NULL,                   -- how many plates it removed
    subjects    INTEGER NOT NULL,                   -- how many subjects it erases
    revision    INTEGER NOT NULL,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a sale removed from the change log's point of view: plate ids (their rows are gone).
CREATE TABLE sale_plates (
    sale_id     TEXT NOT NULL REFERENCES sales,
    plate_id    TEXT NOT NULL,
    PRIMARY KEY (sale_id, plate_id)
) STRICT, WITHOUT ROWID;

-- Tombstones: a plate or subject that was sold away is not admitted again by a late or repeated request, until the
-- block is lifted by name of the sale. The value is an HMAC under the cloud's key file, so the plate itself is gone.
CREATE TABLE sale_blocks (
    site_id     TEXT NOT NULL REFERENCES sites,
    value_hmac  BLOB NOT NULL,
    sale_id     TEXT NOT NULL REFERENCES sales,
    PRIMARY KEY (site_id, value_hmac)
) STRICT, WITHOUT ROWID;

-- Controllers, from registration to decommissioning.
CREATE TABLE controllers (
    controller_id   TEXT PRIMARY KEY,
    site_id         TEXT NOT NULL REFERENCES sites,
    status          TEXT NOT NULL CHECK (status IN ('registered', 'active', 'revoked', 'decommissioned')),
    claim_hash      TEXT,                           -- Argon2id PHC string of the one-time claim code; NULL once used
    claim_expires   INTEGER,
    claim_tries     INTEGER NOT NULL DEFAULT 0,     -- wrong codes so far; at the limit the code is void
    sealing_key     BLOB,                           -- X25519, from its last hello
    embedder        TEXT,
    boot_id         TEXT,
    software        TEXT,
    cursor          INTEGER NOT NULL DEFAULT 0,     -- revision it last acknowledged as applied
    digest          TEXT,                           -- digest it reported there
    in_sync         INTEGER NOT NULL DEFAULT 0,     -- 1 if cursor and digest equalled the cloud's own when reported
    applied_at      INTEGER,
    connected       INTEGER NOT NULL DEFAULT 0,
    last_seen       INTEGER,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Certificates issued to controllers. The broker and the API refuse a serial that is not 'active'.
CREATE TABLE controller_certificates (
    serial        TEXT PRIMARY KEY,                 -- lower-case hexadecimal
    controller_id TEXT NOT NULL REFERENCES controllers,
    public_point  BLOB NOT NULL,                    -- its P-256 public key (SEC 1 uncompressed): its messages and receipts verify
                                                    -- with it. Here, since two are in use while a renewed one is being tried
    issued_at     INTEGER NOT NULL,
    not_after     INTEGER NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('active', 'superseded', 'revoked'))
) STRICT, WITHOUT ROWID;
CREATE INDEX controller_certificates_controller ON controller_certificates (controller_id);

-- Barriers and doors as their controllers last reported them.
CREATE TABLE access_points (
    access_point_id TEXT PRIMARY KEY,
    controller_id   TEXT NOT NULL REFERENCES controllers,
    kind            TEXT NOT NULL CHECK (kind IN ('barrier', 'door')),
    credentials     TEXT NOT NULL,                  -- JSON array
    reachable       INTEGER NOT NULL,
    state           TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One order to erase one subject's biometrics everywhere. Complete when every controller in erasure_controllers has
-- answered or was decommissioned.
CREATE TABLE erasures (
    erasure_id   TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL REFERENCES sites,
    subject      TEXT NOT NULL,
    reason       TEXT NOT NULL CHECK (reason IN ('consent-withdrawn', 'property-sold')),
    sale_id      TEXT REFERENCES sales,
    ordered_at   INTEGER NOT NULL,
    cloud_erased INTEGER NOT NULL,                  -- how many templates the cloud itself erased, in the same transaction
    completed_at INTEGER                            -- when the last receipt was stored
) STRICT, WITHOUT ROWID;

-- Which controllers must answer an erasure: every one that was ever sent a template of the subject, and every active one.
CREATE TABLE erasure_controllers (
    erasure_id    TEXT NOT NULL REFERENCES erasures,
    controller_id TEXT NOT NULL REFERENCES controllers,
    receipt_jws   TEXT,                             -- the controller's signed receipt
    verified      INTEGER,                          -- 1: it found no trace in its files; 0: it did, and still owes an answer
    received_at   INTEGER,
    PRIMARY KEY (erasure_id, controller_id)
) STRICT, WITHOUT ROWID;

-- Which controllers were ever sent a subject's template. Outlives the template, ends with the erasure.
CREATE TABLE template_holders (
    site_id       TEXT NOT NULL,
    subject       TEXT NOT NULL,
    controller_id TEXT NOT NULL REFERENCES controllers,
    PRIMARY KEY (site_id, subject, controller_id)
) STRICT, WITHOUT ROWID;

-- Orders to open: who asked and what became of it. Accepted and mechanically confirmed are different states.
CREATE TABLE commands (
    command_id      TEXT PRIMARY KEY,
    site_id         TEXT NOT NULL REFERENCES sites,
    access_point_id TEXT NOT NULL,
    principal_id    TEXT NOT NULL,
    idempotency_key TEXT,                           -- the caller's; a repeated call gets the first one's outcome
    state           TEXT NOT NULL,                  -- 'sent', then the states of CommandOutcome, or 'unanswered'
    reason          TEXT,
    requested_at    INTEGER NOT NULL,
    finished_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX commands_idempotency ON commands (principal_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Events of controllers, stored once however often they arrive.
CREATE TABLE events (
    event_id        TEXT PRIMARY KEY,
    site_id         TEXT NOT NULL REFERENCES sites,
    controller_id   TEXT NOT NULL,
    seq             INTEGER NOT NULL,               -- the controller's outbox number
    at              INTEGER NOT NULL,               -- by the controller's clock
    received_at     INTEGER NOT NULL,
    access_point_id TEXT,
    kind            TEXT NOT NULL                   -- JSON of cardea_protocol::event::EventKind
) STRICT, WITHOUT ROWID;
CREATE INDEX events_site_at ON events (site_id, at);

-- What people and back ends did through the API: one row per state-changing call, refused ones too.
CREATE TABLE audit (
    audit_id     INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    customer_id  TEXT,                              -- whose data was touched; NULL: the operator's own
    site_id      TEXT,
    principal_id TEXT,                              -- who asked
    action       TEXT NOT NULL,                     -- operationId of the API
    target       TEXT,                              -- id of the thing acted on; never a plate, a token or a template
    outcome      TEXT NOT NULL                      -- 'done', or the problem type
) STRICT;
CREATE INDEX audit_customer_at ON audit (customer_id, at);
