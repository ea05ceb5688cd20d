-- Ids are the 12 bytes, stamps are milliseconds since 1970.

CREATE TABLE users (
    id            BLOB NOT NULL PRIMARY KEY,
    username      TEXT NOT NULL,
    name_key      TEXT NOT NULL UNIQUE,
    skeleton      TEXT NOT NULL UNIQUE,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL UNIQUE,
    display_name  TEXT,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    suspended     INTEGER NOT NULL DEFAULT 0,
    admin         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id         BLOB NOT NULL PRIMARY KEY,
    user       BLOB NOT NULL,
    salt       BLOB NOT NULL,
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    user_agent TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE conversations (
    id           BLOB NOT NULL PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('direct', 'group', 'room')),
    name         TEXT UNIQUE CHECK ((kind = 'room') = (name IS NOT NULL)),
    description  TEXT,
    creator      BLOB,
    created_at   INTEGER NOT NULL,
    archived     INTEGER NOT NULL DEFAULT 0,
    settings_seq INTEGER NOT NULL DEFAULT 0,
    -- Moves with the rows of members, in the same transaction.
    members      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX rooms_of_creator ON conversations (creator) WHERE kind = 'room' AND archived = 0;

CREATE TABLE members (
    user         BLOB NOT NULL,
    conversation BLOB NOT NULL REFERENCES conversations (id),
    role         TEXT NOT NULL,
    read_seq     INTEGER NOT NULL DEFAULT 0,
    read_ordinal INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, conversation)
) STRICT, WITHOUT ROWID;

-- A small number for every conversation that has entries, given at the first of them.
CREATE TABLE logs (
    number       INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL UNIQUE
) STRICT;

-- Clustered by conversation and seq, so that a page of history is one range of the table.
CREATE TABLE entries (
    key               INTEGER PRIMARY KEY, -- log << 32 | seq
    log               INTEGER NOT NULL AS (key >> 32) VIRTUAL,
    id                BLOB NOT NULL,
    ordinal           INTEGER NOT NULL,
    gov               INTEGER NOT NULL,
    sender            BLOB NOT NULL,
    client_message_id TEXT,
    created_at        INTEGER NOT NULL,
    kind              TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_by_id ON entries (id);
-- I2: one (conversation, sender, key) makes at most one entry.
CREATE UNIQUE INDEX entries_by_client_message_id ON entries (log, sender, client_message_id)
    WHERE client_message_id IS NOT NULL;

CREATE TABLE jobs (
    arrival    INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE,
    job        TEXT NOT NULL,
    due        INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- Order among those given up; null while the job lives.
    burial     INTEGER,
    buried_at  INTEGER,
    reason     TEXT
) STRICT;
CREATE INDEX jobs_due ON jobs (due, arrival) WHERE burial IS NULL;
CREATE UNIQUE INDEX jobs_buried ON jobs (burial) WHERE burial IS NOT NULL;
