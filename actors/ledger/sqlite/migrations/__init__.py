"""Schema migrations of the SQLite store (see `actors.ledger.migrations`)."""
