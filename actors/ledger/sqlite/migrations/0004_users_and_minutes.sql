-- Read models of users and of the keys' names; both can be rebuilt from the log.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    joined_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_of_account ON users (account_no, email);

ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
CREATE INDEX api_keys_of_account ON api_keys (account_no, issued_at_ms);

-- Operational: when a key was used last, to the minute.
CREATE TABLE api_key_uses (
    hash TEXT PRIMARY KEY,
    used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `hash` is the SHA-256 of the session's token.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    began_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_used ON sessions (used_at_ms);

-- Tries to sign in, by address and by user: `domain.sessions.Tries`.
CREATE TABLE sign_in_tries (
    key TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_tries_since ON sign_in_tries (since_ms);

-- Attempts by loop and minute: `counts` columns are `domain.statistics.ANSWERS` and its buckets, in their order.
CREATE TABLE attempt_minutes (
    loop_no INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    a0 INTEGER NOT NULL,
    a1 INTEGER NOT NULL,
    a2 INTEGER NOT NULL,
    a3 INTEGER NOT NULL,
    a4 INTEGER NOT NULL,
    b0 INTEGER NOT NULL,
    b1 INTEGER NOT NULL,
    b2 INTEGER NOT NULL,
    b3 INTEGER NOT NULL,
    b4 INTEGER NOT NULL,
    b5 INTEGER NOT NULL,
    b6 INTEGER NOT NULL,
    b7 INTEGER NOT NULL,
    b8 INTEGER NOT NULL,
    b9 INTEGER NOT NULL,
    b10 INTEGER NOT NULL,
    b11 INTEGER NOT NULL,
    PRIMARY KEY (loop_no, minute)
) STRICT, WITHOUT ROWID;

-- Events by account, minute and type, by the time of the event.
CREATE TABLE event_minutes (
    account_no INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    type INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (account_no, minute, type)
) STRICT, WITHOUT ROWID;
