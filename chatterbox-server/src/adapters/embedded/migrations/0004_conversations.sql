-- Direct conversations, groups, and what entries besides messages leave behind.
--
-- Rows of conversations stand at `projected`, zero to begin with: whoever opens the conversation first brings them up
-- to date from its log, also with what an earlier version left undone.

ALTER TABLE conversations ADD COLUMN title TEXT;
ALTER TABLE conversations ADD COLUMN visibility TEXT NOT NULL DEFAULT 'private';
ALTER TABLE conversations ADD COLUMN history TEXT NOT NULL DEFAULT 'all';
ALTER TABLE conversations ADD COLUMN projected INTEGER NOT NULL DEFAULT 0;
-- The pair of a direct conversation, the lower id first; one alone is both.
ALTER TABLE conversations ADD COLUMN low BLOB;
ALTER TABLE conversations ADD COLUMN high BLOB;
-- The creator's own name for the making of a group.
ALTER TABLE conversations ADD COLUMN idempotency_key TEXT;
ALTER TABLE conversations DROP COLUMN settings_seq;
UPDATE conversations SET visibility = 'public' WHERE kind = 'room';
CREATE UNIQUE INDEX direct_pairs ON conversations (low, high) WHERE kind = 'direct';
CREATE INDEX direct_highs ON conversations (high) WHERE kind = 'direct';
CREATE UNIQUE INDEX group_keys ON conversations (creator, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Every name that leads to a room: the one it has, those it had, and one that it is about to have.
CREATE TABLE room_names (
    name TEXT NOT NULL PRIMARY KEY,
    room BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO room_names SELECT name, id FROM conversations WHERE kind = 'room';

ALTER TABLE members ADD COLUMN joined_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN left_seq INTEGER;
ALTER TABLE members ADD COLUMN hidden_at INTEGER;
ALTER TABLE members ADD COLUMN notify TEXT NOT NULL DEFAULT 'all';
ALTER TABLE members ADD COLUMN mute_until INTEGER;
CREATE INDEX members_here ON members (conversation, user) WHERE left_seq IS NULL;
CREATE INDEX members_moderating ON members (conversation, user) WHERE role = 'moderator' AND left_seq IS NULL;

CREATE TABLE bans (
    conversation BLOB NOT NULL,
    user         BLOB NOT NULL,
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
    token_hash   BLOB NOT NULL PRIMARY KEY,
    conversation BLOB NOT NULL,
    created_by   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_here ON invites (conversation);

-- Keys are those of `entries`, of the message that the row is about.

-- What became of a message, if anything did. Mentions and reactions are JSON.
CREATE TABLE message_states (
    key       INTEGER PRIMARY KEY,
    content   TEXT,
    mentions  TEXT,
    edited_at INTEGER,
    reactions TEXT
) STRICT;

-- Where the edits of a message are, to be redacted with it.
CREATE TABLE edits (
    key  INTEGER NOT NULL,
    edit INTEGER NOT NULL,
    PRIMARY KEY (key, edit)
) STRICT, WITHOUT ROWID;

CREATE TABLE deleted (
    key INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE replies (
    message BLOB NOT NULL,
    reply   INTEGER NOT NULL,
    PRIMARY KEY (message, reply)
) STRICT, WITHOUT ROWID;

CREATE TABLE hidden (
    user         BLOB NOT NULL,
    conversation BLOB NOT NULL,
    seq          INTEGER NOT NULL,
    message      BLOB NOT NULL,
    hidden_at    INTEGER NOT NULL,
    PRIMARY KEY (user, conversation, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX hidden_by_time ON hidden (user, hidden_at, conversation, seq);

-- Which words are in which message; `search.rs` says how they are written.
CREATE VIRTUAL TABLE search USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);
-- Up to which entry a log is in `search`.
CREATE TABLE search_marks (
    log INTEGER PRIMARY KEY,
    key INTEGER NOT NULL
) STRICT;
