-- Version 3: the OpenID Provider.

-- Keys that sign access and ID tokens. Which one signs at a moment, and how long each verifies, follows from `active_from`.
CREATE TABLE token_keys (
    kid         TEXT PRIMARY KEY,                   -- JWK thumbprint (RFC 7638)
    sealed_key  BLOB NOT NULL,                      -- PKCS#8 PEM under the cloud's key file, associated data = kid
    active_from INTEGER NOT NULL                    -- signs from then on, until the next one does
) STRICT, WITHOUT ROWID;

-- What a login is besides its refresh tokens.
CREATE TABLE logins (
    family_id   TEXT PRIMARY KEY REFERENCES refresh_families ON DELETE CASCADE,
    client_id   TEXT NOT NULL REFERENCES principals, -- whom its tokens are issued to: another account only for a login by browser
    openid      INTEGER NOT NULL,                   -- 1: its answers carry an ID token
    auth_time   INTEGER NOT NULL                    -- when the credential was shown
) STRICT, WITHOUT ROWID;
INSERT INTO logins SELECT family_id, principal_id, 0, 0 FROM refresh_families;

-- Access tokens revoked one by one, until they would have expired anyway. A revoked login needs no row here: its access
-- tokens name it.
CREATE TABLE revoked_tokens (
    jti         TEXT PRIMARY KEY,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where a login by browser may lead back to, as the operator has registered it for a client.
CREATE TABLE redirect_uris (
    client_id   TEXT NOT NULL REFERENCES principals,
    uri         TEXT NOT NULL,                      -- compared letter by letter
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (client_id, uri)
) STRICT, WITHOUT ROWID;

-- Codes of logins by browser, good once and for a minute. A spent one stays as long as its login, so that a second use
-- ends it.
CREATE TABLE authorization_codes (
    code_hash    BLOB PRIMARY KEY,                  -- SHA-256 of the code; the code itself is never stored
    client_id    TEXT NOT NULL REFERENCES principals, -- whom it was made for
    principal_id TEXT NOT NULL REFERENCES principals, -- who has logged in
    redirect_uri TEXT NOT NULL,                     -- where it was sent
    challenge    TEXT NOT NULL,                     -- PKCE by S256 (RFC 7636)
    openid       INTEGER NOT NULL,
    nonce        TEXT,                              -- the client's, for the ID token
    auth_time    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    spent_at     INTEGER,
    family_id    TEXT REFERENCES refresh_families ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX authorization_codes_family ON authorization_codes (family_id);
