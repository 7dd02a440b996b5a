-- Version 11: what webhooks have to tell is kept for so long and no longer.

ALTER TABLE webhook_messages ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
-- When what waits already was written is not known: it counts from its next attempt, rather too long than cut short.
UPDATE webhook_messages SET created_at = next_attempt_at;
CREATE INDEX webhook_messages_created ON webhook_messages (created_at);
