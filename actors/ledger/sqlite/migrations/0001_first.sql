-- The log. The columns and their order are eventsourcing's.
CREATE TABLE stored_events (
    originator_id TEXT,
    originator_version INTEGER,
    topic TEXT,
    state BLOB,
    PRIMARY KEY (originator_id, originator_version)
);

-- Read models of the aggregates: all of them can be rebuilt from the log.
CREATE TABLE accounts (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    hash TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `doc` is a JSON object of what actors.commands.Loop holds beyond the columns.
CREATE TABLE loops (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account_no INTEGER NOT NULL,
    state TEXT NOT NULL,
    doc TEXT NOT NULL,
    deleted INTEGER NOT NULL
) STRICT;
CREATE INDEX loops_of_account ON loops (account_no, no) WHERE deleted = 0;

-- `links` is last, so that looking a message up for a hit reads none of them.
CREATE TABLE messages (
    key INTEGER PRIMARY KEY,
    account_no INTEGER NOT NULL,
    id TEXT NOT NULL,
    recipient TEXT NOT NULL COLLATE NOCASE,
    tags TEXT NOT NULL,
    mailing TEXT,
    database TEXT,
    profile TEXT,
    created_at_ms INTEGER NOT NULL,
    links TEXT NOT NULL,
    UNIQUE (account_no, id)
) STRICT;
CREATE INDEX messages_to_recipient ON messages (account_no, recipient);

CREATE TABLE profiles (
    account_no INTEGER NOT NULL,
    database TEXT NOT NULL,
    id TEXT NOT NULL,
    originator_id TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    modified_at_ms INTEGER NOT NULL,
    interests TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (account_no, database, id)
) STRICT, WITHOUT ROWID;

-- Tracking events by account and time (an event id begins with its time), by type, and by message.
CREATE TABLE events (
    account_no INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    PRIMARY KEY (account_no, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_of_type ON events (account_no, type, event_id);
CREATE INDEX events_of_message ON events (message_key, event_id);

CREATE TABLE first_hits (
    message_key INTEGER NOT NULL,
    first_key INTEGER NOT NULL,
    PRIMARY KEY (message_key, first_key)
) STRICT, WITHOUT ROWID;

-- The outbox. `state` is domain.values.DeliveryState, `type` domain.values.TRIGGER_CODES.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    loop_no INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    due_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (loop_no, due_at_ms) WHERE state = 0;
CREATE INDEX deliveries_of_event ON deliveries (event_id) WHERE state = 0;
CREATE INDEX deliveries_listed ON deliveries (loop_no, state, created_at_ms);

CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    excerpt TEXT NOT NULL,
    address TEXT,
    PRIMARY KEY (delivery_id, no)
) STRICT, WITHOUT ROWID;

-- `status` is null while the request that claimed the key is in progress.
CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    leased_until_ms INTEGER NOT NULL,
    kept_until_ms INTEGER NOT NULL,
    status INTEGER,
    content_type TEXT,
    body BLOB,
    PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX idempotency_kept ON idempotency (kept_until_ms);

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('routes_version', 1);
