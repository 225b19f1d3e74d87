-- The event log. eventsourcing defines these columns and their order.
CREATE TABLE stored_events (
    originator_id TEXT,
    originator_version INTEGER,
    topic TEXT,
    state BLOB,
    PRIMARY KEY (originator_id, originator_version)
);

-- Read models of the aggregates. Each of them can be rebuilt from the log.

CREATE TABLE accounts (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- `hash` is the SHA-256 of the key.
CREATE TABLE api_keys (
    hash TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    name TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_of_account ON api_keys (account_no, issued_at_ms);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    joined_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_of_account ON users (account_no, email);

-- `doc` is a JSON object: `actors.ledger.loop_projection.LoopProjection`.
CREATE TABLE loops (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account_no INTEGER NOT NULL,
    state TEXT NOT NULL,
    doc TEXT NOT NULL,
    deleted INTEGER NOT NULL
) STRICT;
CREATE INDEX loops_of_account ON loops (account_no, no) WHERE deleted = 0;

-- `links` is the last column, so that looking up a message for a hit does not read the links.
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

-- The kinds of event that each message has had: `domain.enrichment.first_key`.
CREATE TABLE first_hits (
    message_key INTEGER NOT NULL,
    first_key INTEGER NOT NULL,
    PRIMARY KEY (message_key, first_key)
) STRICT, WITHOUT ROWID;

-- Counters: `routes_version` is the version of the routing table.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('routes_version', 1);

-- Operational tables. They are not in the log.

-- The outbox. `state` is `domain.values.DeliveryState`, `type` is `domain.values.TRIGGER_CODES`. `forgiven` counts the
-- attempts made before the last manual retry or replay; the retry schedule ignores them.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    loop_no INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    due_at_ms INTEGER NOT NULL,
    forgiven INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX deliveries_due ON deliveries (loop_no, due_at_ms) WHERE state = 0;
-- The deliveries of one loop, state and type are one range, in order of time. A filtered list merges whole ranges.
CREATE INDEX deliveries_listed ON deliveries (loop_no, state, type, created_at_ms);
-- Covers every state, because retention keeps an event as long as it has a delivery.
CREATE INDEX deliveries_of_event ON deliveries (event_id);
-- In order of id: finds the next delivery of an ordered loop, however large its backlog is.
CREATE INDEX deliveries_pending ON deliveries (loop_no) WHERE state = 0;

-- One row. Ids are never reused, even after deliveries are dropped.
CREATE TABLE delivery_ids (
    last_id INTEGER NOT NULL
) STRICT;
INSERT INTO delivery_ids VALUES (0);

-- `excerpt` is the start of the response body.
CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    excerpt TEXT NOT NULL,
    address TEXT,
    response_bytes INTEGER NOT NULL DEFAULT 0,
    response_headers TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, no)
) STRICT, WITHOUT ROWID;

-- `domain.delivery.LaneHealth` of each loop that has recorded one.
CREATE TABLE loop_health (
    loop_no INTEGER PRIMARY KEY,
    breaker TEXT NOT NULL,
    failing_since_ms INTEGER,
    last_success_ms INTEGER,
    last_failure_ms INTEGER,
    failures INTEGER NOT NULL,
    next_probe_ms INTEGER
) STRICT;

-- `state` is `running`, `done` or `cancelled`. Deliveries up to (`at_created_at_ms`, `at_id`) have been requeued.
CREATE TABLE replays (
    id INTEGER PRIMARY KEY,
    loop_no INTEGER NOT NULL,
    state TEXT NOT NULL,
    which TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    at_created_at_ms INTEGER NOT NULL,
    at_id INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX replays_of_loop ON replays (loop_no);
CREATE UNIQUE INDEX replays_running ON replays (loop_no) WHERE state = 'running';

-- Responses to API requests with an Idempotency-Key. `status` is null while the request is in progress.
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

-- The last use of each API key, to the minute.
CREATE TABLE api_key_uses (
    hash TEXT PRIMARY KEY,
    used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `hash` is the SHA-256 of the session token.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    began_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_used ON sessions (used_at_ms);

-- Sign-in attempts by address and by user: `domain.sessions.Tries`.
CREATE TABLE sign_in_tries (
    key TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_tries_since ON sign_in_tries (since_ms);

-- Attempts per loop and minute: a0… count `domain.statistics.ANSWERS`, b0… its duration buckets, in the same order.
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

-- Events per account, minute and type, by the time of the event.
CREATE TABLE event_minutes (
    account_no INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    type INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (account_no, minute, type)
) STRICT, WITHOUT ROWID;
