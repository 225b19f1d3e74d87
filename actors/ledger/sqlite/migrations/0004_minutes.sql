-- Attempts by loop and minute: `counts` columns are `domain.figures.ANSWERS` and its buckets, in their order.
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
