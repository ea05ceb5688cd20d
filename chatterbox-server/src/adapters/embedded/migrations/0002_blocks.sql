CREATE TABLE blocks (
    user    BLOB NOT NULL,
    blocked BLOB NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (user, blocked)
) STRICT, WITHOUT ROWID;
