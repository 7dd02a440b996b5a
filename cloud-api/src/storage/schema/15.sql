-- Version 15: how long a controller's credentials count without a word from the cloud, in seconds, as its last hello said; NULL: the
-- kind is not in use there, or counts for ever.

ALTER TABLE controllers ADD COLUMN plate_staleness_s INTEGER;
ALTER TABLE controllers ADD COLUMN face_staleness_s INTEGER;
ALTER TABLE controllers ADD COLUMN card_staleness_s INTEGER;
