-- Presence is told to nobody who blocks the user.
CREATE INDEX blocks_by_blocked ON blocks (blocked);
