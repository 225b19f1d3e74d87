-- The start of what the handler answered, above its body; empty for attempts from before this.
ALTER TABLE attempts ADD COLUMN response_headers TEXT NOT NULL DEFAULT '';
