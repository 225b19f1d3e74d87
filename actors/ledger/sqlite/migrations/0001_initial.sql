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

-- When keys were revoked: a report that arrived before still counts.
CREATE TABLE revoked_api_keys (
    hash TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    revoked_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    joined_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_of_account ON users (account_no, email);

-- `doc` is a JSON object: `actors.ledger.loop_projection.LoopProjection`, with the id of the key of its secret.
CREATE TABLE loops (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account_no INTEGER NOT NULL,
    state TEXT NOT NULL,
    doc TEXT NOT NULL,
    deleted INTEGER NOT NULL
) STRICT;
CREATE INDEX loops_of_account ON loops (account_no, no) WHERE deleted = 0;

-- `links` is the last column, so that looking up a message for a hit does not read the links. `reference` has no angle
-- brackets. `person` is `actors.ledger.people.person_of` the recipient. An erased message has neither recipient, person,
-- reference nor links.
CREATE TABLE messages (
    key INTEGER PRIMARY KEY,
    account_no INTEGER NOT NULL,
    id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    tags TEXT NOT NULL,
    mailing TEXT,
    database TEXT,
    profile TEXT,
    created_at_ms INTEGER NOT NULL,
    reference TEXT,
    person TEXT NOT NULL,
    erased_at_ms INTEGER,
    links TEXT NOT NULL,
    UNIQUE (account_no, id)
) STRICT;
CREATE UNIQUE INDEX messages_of_reference ON messages (account_no, reference) WHERE reference IS NOT NULL;
CREATE INDEX messages_of_account ON messages (account_no, key);
CREATE INDEX messages_to_recipient ON messages (account_no, person, key);
CREATE INDEX messages_of_mailing ON messages (account_no, mailing, key) WHERE mailing IS NOT NULL;
CREATE INDEX messages_of_profile ON messages (account_no, database, profile, key) WHERE profile IS NOT NULL;

-- The messages with each tag, so that they can be listed.
CREATE TABLE message_tags (
    account_no INTEGER NOT NULL,
    tag TEXT NOT NULL,
    message_key INTEGER NOT NULL,
    PRIMARY KEY (account_no, tag, message_key)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE subprofiles (
    account_no INTEGER NOT NULL,
    database TEXT NOT NULL,
    profile TEXT NOT NULL,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    originator_id TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    modified_at_ms INTEGER NOT NULL,
    interests TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (account_no, database, profile, collection, id)
) STRICT, WITHOUT ROWID;

-- Every profile and subprofile that has events in the log, also deleted ones, by the profile that it is or belongs to.
CREATE TABLE profile_streams (
    originator_id TEXT PRIMARY KEY,
    account_no INTEGER NOT NULL,
    database TEXT NOT NULL,
    profile TEXT NOT NULL,
    is_profile INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_of_profile ON profile_streams (account_no, database, profile);

-- The people whose addresses are in a top-level field of any version in the history of a profile or subprofile, as
-- `actors.ledger.people.person_of` the address.
CREATE TABLE profile_addresses (
    account_no INTEGER NOT NULL,
    person TEXT NOT NULL,
    originator_id TEXT NOT NULL,
    PRIMARY KEY (account_no, person, originator_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX profile_addresses_of_profile ON profile_addresses (originator_id);

-- Versions of profiles in the log whose data before them waits for its age, and since when. Retention removes the rows.
CREATE TABLE profile_history (
    superseded_at_ms INTEGER NOT NULL,
    originator_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (superseded_at_ms, originator_id, version)
) STRICT, WITHOUT ROWID;

-- Tracking events by account and time (an event id begins with its time), by type, and by message. `message_key` is
-- `domain.erasure.profile_event_key` for an event of a profile, and 0 for a report without a message.
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

-- Counters: `routes_version` is the version of the routing table, `keys_version` that of the API keys.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('routes_version', 1), ('keys_version', 1);

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

-- Failed deliveries that wait for their retry.
CREATE INDEX deliveries_failed ON deliveries (loop_no) WHERE state = 0 AND attempts > forgiven;

-- Reports and what became of them, by account and arrival; the id is that of the first event. `state` is
-- `domain.reports.intake.ReportState`, `events` their number, `first_id` the report that a repeated one repeats.
CREATE TABLE reports (
    account_no INTEGER NOT NULL,
    report_id BLOB NOT NULL,
    state INTEGER NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    events INTEGER NOT NULL,
    truncated INTEGER NOT NULL,
    first_id BLOB,
    PRIMARY KEY (account_no, report_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reports_of_state ON reports (account_no, state, report_id);
CREATE INDEX reports_of_age ON reports (report_id);

-- Digests of reports (`domain.reports.intake`). They outlive events, so that a late repeat is recognised.
CREATE TABLE report_digests (
    digest BLOB PRIMARY KEY,
    report_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX report_digests_of_age ON report_digests (report_id);

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
    next_probe_ms INTEGER,
    failing_ms INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT ''
) STRICT;

-- `state` is `running`, `done` or `cancelled`. Deliveries up to (`at_created_at_ms`, `at_id`) have been requeued, or
-- missed events up to `at_event` (hexadecimal) have got deliveries. `is_estimate` is about `count`.
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
    at_id INTEGER NOT NULL DEFAULT 0,
    is_estimate INTEGER NOT NULL DEFAULT 0,
    at_event TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX replays_of_loop ON replays (loop_no);
CREATE UNIQUE INDEX replays_running ON replays (loop_no) WHERE state = 'running';

-- Erasures of people. `account_no` is 0 for all accounts. `person` is empty from the last step on; `digest` is
-- `domain.erasure.person_digest`. `is_repeat`: it was repeated after a restore. `step` is the running step, and `position` its progress. `outside` is a JSON list of
-- sentences: places that the erasure did not reach.
CREATE TABLE erasures (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account_no INTEGER NOT NULL,
    digest BLOB NOT NULL,
    person TEXT NOT NULL,
    requested_at_ms INTEGER NOT NULL,
    keep_opt_out INTEGER NOT NULL,
    is_repeat INTEGER NOT NULL DEFAULT 0,
    step TEXT NOT NULL,
    position TEXT NOT NULL DEFAULT '',
    completed_at_ms INTEGER,
    messages INTEGER NOT NULL DEFAULT 0,
    events INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0,
    profiles INTEGER NOT NULL DEFAULT 0,
    mails INTEGER NOT NULL DEFAULT 0,
    outside TEXT NOT NULL DEFAULT '[]',
    held_up_by TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE UNIQUE INDEX erasures_running ON erasures (account_no, digest) WHERE completed_at_ms IS NULL;
CREATE INDEX erasures_of_person ON erasures (account_no, digest, requested_at_ms);

-- The messages, and the profiles (`domain.erasure.profile_event_key`), whose events an erasure redacts. `is_partial`: only
-- values that are the person's address go, because the rest is about others.
CREATE TABLE erasure_keys (
    erasure_no INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    is_partial INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (erasure_no, message_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX erasure_keys_of_message ON erasure_keys (message_key);

-- The histories that an erasure redacts: up to a version and its Unix milliseconds, first as a whole, then only the values
-- that are the person's address.
CREATE TABLE erasure_histories (
    erasure_no INTEGER NOT NULL,
    originator_id TEXT NOT NULL,
    whole_until INTEGER NOT NULL,
    whole_until_ms INTEGER NOT NULL,
    partly_until INTEGER NOT NULL,
    partly_until_ms INTEGER NOT NULL,
    PRIMARY KEY (erasure_no, originator_id)
) STRICT, WITHOUT ROWID;

-- Deliveries of redacted events that go out all the same: an attempt with the older text may have been under way.
CREATE TABLE erasure_deliveries (
    erasure_no INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    PRIMARY KEY (erasure_no, delivery_id)
) STRICT, WITHOUT ROWID;

-- The front ends that have confirmed an erasure.
CREATE TABLE erasure_front_ends (
    erasure_no INTEGER NOT NULL,
    front_end TEXT NOT NULL,
    PRIMARY KEY (erasure_no, front_end)
) STRICT, WITHOUT ROWID;

-- What holds up a front end that has to confirm erasures.
CREATE TABLE front_end_problems (
    front_end TEXT PRIMARY KEY,
    problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The references of erased messages, as `domain.erasure.reference_digest`.
CREATE TABLE erased_references (
    account_no INTEGER NOT NULL,
    digest BLOB NOT NULL,
    message_key INTEGER NOT NULL,
    PRIMARY KEY (account_no, digest)
) STRICT, WITHOUT ROWID;

-- Erased people who had unsubscribed, as `domain.erasure.person_digest`, where the account asked to keep that.
CREATE TABLE opt_outs (
    account_no INTEGER NOT NULL,
    digest BLOB NOT NULL,
    opted_out_at_ms INTEGER NOT NULL,
    PRIMARY KEY (account_no, digest)
) STRICT, WITHOUT ROWID;

-- Responses to API requests with an Idempotency-Key, by its SHA-256. `status` is null while the request is in progress.
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

-- The messages that each of these responses shows.
CREATE TABLE idempotency_messages (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    message_key INTEGER NOT NULL,
    PRIMARY KEY (scope, key, message_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_of_message ON idempotency_messages (message_key);

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
