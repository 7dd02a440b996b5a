-- Version 3: the OpenID Provider.

-- Keys that sign access and ID tokens. Which one signs at a moment, and how long each verifies, follows from `active_from`.
CREATE TABLE token_keys (
    kid         TEXT PRIMARY KEY,                   -- JWK thumbprint (RFC 7638)
    sealed_key  BLOB NOT NULL,                      -- PKCS#8 PEM under the cloud's key file, associated data = kid
    active_from INTEGER NOT NULL                    -- signs from then on, until the next one does
) STRICT, WITHOUT ROWID;
