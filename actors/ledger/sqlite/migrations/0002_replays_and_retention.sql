-- Attempts that the retry schedule does not count, since the delivery was given back to its lane by hand.
ALTER TABLE deliveries ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN response_bytes INTEGER NOT NULL DEFAULT 0;

-- Each state and type of a loop's deliveries is one stretch in the order of time: any filter reads whole stretches.
DROP INDEX deliveries_listed;
CREATE INDEX deliveries_listed ON deliveries (loop_no, state, type, created_at_ms);

-- Of every state: an event is kept for as long as a delivery of it is.
DROP INDEX deliveries_of_event;
CREATE INDEX deliveries_of_event ON deliveries (event_id);

-- One row. Deliveries may go, their ids are never given again.
CREATE TABLE delivery_ids (
    last_id INTEGER NOT NULL
) STRICT;
INSERT INTO delivery_ids SELECT coalesce(max(id), 0) FROM deliveries;

-- `state` is `running`, `done` or `cancelled`. The deliveries up to (`at_created_at_ms`, `at_id`) are given back.
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

-- `domain.delivery.LaneHealth` of each loop that has one.
CREATE TABLE loop_health (
    loop_no INTEGER PRIMARY KEY,
    breaker TEXT NOT NULL,
    failing_since_ms INTEGER,
    last_success_ms INTEGER,
    last_failure_ms INTEGER,
    failures INTEGER NOT NULL,
    next_probe_ms INTEGER
) STRICT;
