-- Version 2: cards.

-- Admitted cards, by the hash of their number (cardea_protocol::card): the number itself is never stored. Removing a card
-- removes the row.
CREATE TABLE cards (
    card_id     TEXT PRIMARY KEY,
    site_id     TEXT NOT NULL REFERENCES sites,
    hash        TEXT NOT NULL,
    subject     TEXT,                               -- whose, where the customer said so: then a sale of the flat ends it
    valid_from  INTEGER,
    valid_until INTEGER,
    created_at  INTEGER NOT NULL,
    UNIQUE (site_id, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_subject ON cards (site_id, subject);

-- What a sale removed from the change log's point of view: card ids, beside the plate ids of `sale_plates`. Its tombstones in
-- `sale_blocks` are of plates, cards and subjects alike.
CREATE TABLE sale_cards (
    sale_id     TEXT NOT NULL REFERENCES sales,
    card_id     TEXT NOT NULL,
    PRIMARY KEY (sale_id, card_id)
) STRICT, WITHOUT ROWID;
ALTER TABLE sales ADD COLUMN cards INTEGER NOT NULL DEFAULT 0;   -- how many cards it removed or blocked

-- The change log learns two kinds; a CHECK cannot be altered, so the table is made anew.
ALTER TABLE changes RENAME TO changes_1;
CREATE TABLE changes (
    site_id     TEXT NOT NULL REFERENCES sites,
    revision    INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN
                    ('plate-admitted', 'plate-removed', 'card-admitted', 'card-removed', 'template-added', 'subject-erased',
                     'property-sold')),
    ref_id      TEXT NOT NULL,                      -- plate_id, card_id, template_id, erasure_id or sale_id
    at          INTEGER NOT NULL,
    PRIMARY KEY (site_id, revision)
) STRICT, WITHOUT ROWID;
INSERT INTO changes SELECT * FROM changes_1;
DROP TABLE changes_1;
