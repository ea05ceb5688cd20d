-- Invites that are over are swept.
CREATE INDEX invites_by_end ON invites (expires_at);
