"""Schema migrations of the PostgreSQL store (see `actors.ledger.migrations`)."""
