"""Web dashboard: pages that show the answers to commands. Columns of lists come from `actors.ledger.queries`."""
