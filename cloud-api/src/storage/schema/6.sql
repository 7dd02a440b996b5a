-- Version 6: the audit is a chain, and nothing but retention takes from it.

-- Rows from before it was one, until the first start has taken them into it; empty ever after.
ALTER TABLE audit RENAME TO audit_unchained;
DROP INDEX audit_customer_at;

-- What people, back ends and the cloud itself did: an entry when a call begins, and one when it ends. Nothing is changed in it.
CREATE TABLE audit (
    entry        INTEGER NOT NULL,                  -- 1, 2, 3 … without a gap
    at           INTEGER NOT NULL,
    begun_by     INTEGER,                           -- of an outcome: the entry the call began with
    customer_id  TEXT,                              -- whose data was touched; NULL: the operator's own
    site_id      TEXT,
    principal_id TEXT,                              -- who asked
    action       TEXT NOT NULL,                     -- operationId of the API, or what else was done
    target       TEXT,                              -- id of the thing acted on; never a plate, a token or a template
    outcome      TEXT NOT NULL,                     -- 'begun', 'done', or the problem type
    hash         TEXT NOT NULL,                     -- SHA-256 of the entry as a line (audit/line.rs), which holds the one before
    PRIMARY KEY (entry)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX audit_begun_by ON audit (begun_by);
CREATE INDEX audit_customer ON audit (customer_id, entry);
CREATE INDEX audit_at ON audit (at);

-- Signatures over the chain (JWS): of its head, and of where retention has cut off its beginning.
CREATE TABLE audit_seals (
    kind        TEXT NOT NULL CHECK (kind IN ('head', 'cut')),
    entry       INTEGER NOT NULL,                   -- the newest entry it covers; of a cut, the newest that is gone
    jws         TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (kind, entry)
) STRICT, WITHOUT ROWID;

-- only SQLite
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.entry > coalesce((SELECT max(entry) FROM audit_seals WHERE kind = 'cut'), 0)
BEGIN SELECT RAISE(ABORT, 'the audit is kept'); END;
CREATE TRIGGER audit_seals_are_not_changed BEFORE UPDATE ON audit_seals
BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;
CREATE TRIGGER audit_seals_are_kept BEFORE DELETE ON audit_seals
WHEN OLD.entry >= coalesce((SELECT max(entry) FROM audit_seals WHERE kind = 'cut'), 0)
BEGIN SELECT RAISE(ABORT, 'the audit is kept'); END;

-- only PostgreSQL
CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.entry < coalesce((SELECT max(entry) FROM audit_seals WHERE kind = 'cut'), 0) THEN
            RETURN OLD;
        END IF;
        IF TG_TABLE_NAME = 'audit' THEN
            IF OLD.entry = (SELECT max(entry) FROM audit_seals WHERE kind = 'cut') THEN
                RETURN OLD;
            END IF;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit is kept, and not changed';
END $$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_kept();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_is_kept();
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit_seals FOR EACH ROW EXECUTE FUNCTION audit_is_kept();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit_seals EXECUTE FUNCTION audit_is_kept();

-- both
-- What is deleted by age is found by age.
CREATE INDEX events_received ON events (received_at);
