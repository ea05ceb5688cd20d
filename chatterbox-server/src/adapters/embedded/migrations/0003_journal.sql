-- Entries on their way into `entries`, in the order in which they arrived: what a commit writes is a few pages at the
-- end of this table, however many conversations it has entries of. They are durable here and soon settled there;
-- some rows stay for a while after that.
--
-- A migration runs before what an earlier process left here is settled: one that changes `entries` looks here as well.

CREATE TABLE journal (
    arrival           INTEGER PRIMARY KEY,
    key               INTEGER NOT NULL, -- as in `entries`
    id                BLOB NOT NULL,
    ordinal           INTEGER NOT NULL,
    gov               INTEGER NOT NULL,
    sender            BLOB NOT NULL,
    client_message_id TEXT,
    created_at        INTEGER NOT NULL,
    kind              TEXT NOT NULL
) STRICT;
