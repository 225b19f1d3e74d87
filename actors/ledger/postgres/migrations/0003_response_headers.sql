-- The same as SQLite's schema of version 5.

-- The start of what the handler answered, above its body; empty for attempts from before this.
ALTER TABLE attempts ADD COLUMN response_headers text COLLATE "C" NOT NULL DEFAULT '';
