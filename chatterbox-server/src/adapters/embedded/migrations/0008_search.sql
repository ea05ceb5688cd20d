-- Words of deleted messages leave the file: FTS5 takes words out of its pages if it is told which they were, which a
-- table that deletes by row alone can't be. The index is made anew in the background; until it is, older messages are
-- not found.
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (words, content = '', detail = none, tokenize = 'ascii');
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
DELETE FROM search_marks;

-- Messages that were edited or deleted, and the words under which they stand in `search`, until these are out.
CREATE TABLE search_stale (
    key   INTEGER PRIMARY KEY,
    words TEXT NOT NULL
) STRICT;
