-- By id: what an ordered loop is owed next, however much waits.
CREATE INDEX deliveries_pending ON deliveries (loop_no) WHERE state = 0;
