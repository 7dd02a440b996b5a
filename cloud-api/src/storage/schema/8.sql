-- Version 8: client certificates that count no longer, whatever their CA says.

-- Never taken back: a certificate is issued anew instead.
CREATE TABLE revoked_certificates (
    issuer      TEXT NOT NULL,                      -- RFC 4514
    serial      TEXT NOT NULL,                      -- hexadecimal, lower case, without leading zeros
    revoked_at  INTEGER NOT NULL,
    PRIMARY KEY (issuer, serial)
) STRICT, WITHOUT ROWID;
