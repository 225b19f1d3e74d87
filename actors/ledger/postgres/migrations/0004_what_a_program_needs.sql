-- While a cluster gets a new version, its ledger is migrated and programs of the version before go on with it, if nothing
-- but additions came: `needs` is the schema that a program must know. A migration that only adds says so in a line,
-- `-- only adds`; any other sets `needs` to its own version.
ALTER TABLE ledger_schema ADD COLUMN needs integer NOT NULL DEFAULT 0;
