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
