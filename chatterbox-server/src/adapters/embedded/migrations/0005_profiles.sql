ALTER TABLE users ADD COLUMN read_receipts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN show_presence INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN email_search INTEGER NOT NULL DEFAULT 0;

-- What users are found by: any key that begins with what is looked for is in one range.
CREATE TABLE user_keys (
    key  TEXT NOT NULL,
    user BLOB NOT NULL REFERENCES users (id),
    PRIMARY KEY (key, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_keys_of_user ON user_keys (user, key);
