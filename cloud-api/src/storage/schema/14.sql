-- Version 14: when a controller and its certificates ceased to count.

ALTER TABLE controllers ADD COLUMN revoked_at INTEGER;              -- by the operator's act; NULL: it never was
ALTER TABLE controllers ADD COLUMN decommissioned_at INTEGER;       -- the operator's word that its storage is destroyed or wiped
ALTER TABLE controller_certificates ADD COLUMN ended_at INTEGER;    -- when it was superseded or revoked; NULL: it was not
