-- The same as SQLite's schema of version 4.

-- Read models of users and of the keys' names; both can be rebuilt from the log.
CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,
    account_no bigint NOT NULL,
    email text COLLATE "C" NOT NULL UNIQUE,
    password_hash text COLLATE "C" NOT NULL,
    joined_at_ms bigint NOT NULL
);
CREATE INDEX users_of_account ON users (account_no, email);

ALTER TABLE api_keys ADD COLUMN name text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX api_keys_of_account ON api_keys (account_no, issued_at_ms);

-- Operational: when a key was used last, to the minute.
CREATE TABLE api_key_uses (
    hash text COLLATE "C" PRIMARY KEY,
    used_at_ms bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- `hash` is the SHA-256 of the session's token.
CREATE TABLE sessions (
    hash text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    began_at_ms bigint NOT NULL,
    used_at_ms bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_used ON sessions (used_at_ms);

-- Tries to sign in, by address and by user: `domain.sessions.Tries`.
CREATE TABLE sign_in_tries (
    key text COLLATE "C" PRIMARY KEY,
    count bigint NOT NULL,
    since_ms bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX sign_in_tries_since ON sign_in_tries (since_ms);

-- Attempts by loop and minute: `counts` columns are `domain.statistics.ANSWERS` and its buckets, in their order.
CREATE TABLE attempt_minutes (
    loop_no bigint NOT NULL,
    minute bigint NOT NULL,
    a0 bigint NOT NULL,
    a1 bigint NOT NULL,
    a2 bigint NOT NULL,
    a3 bigint NOT NULL,
    a4 bigint NOT NULL,
    b0 bigint NOT NULL,
    b1 bigint NOT NULL,
    b2 bigint NOT NULL,
    b3 bigint NOT NULL,
    b4 bigint NOT NULL,
    b5 bigint NOT NULL,
    b6 bigint NOT NULL,
    b7 bigint NOT NULL,
    b8 bigint NOT NULL,
    b9 bigint NOT NULL,
    b10 bigint NOT NULL,
    b11 bigint NOT NULL,
    PRIMARY KEY (loop_no, minute)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Events by account, minute and type, by the time of the event.
CREATE TABLE event_minutes (
    account_no bigint NOT NULL,
    minute bigint NOT NULL,
    type smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (account_no, minute, type)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
