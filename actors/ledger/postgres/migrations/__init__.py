"""The database's schema, version by version: `NNNN_name.sql` brings it from version NNNN - 1 to NNNN.

A file that was released is never edited; a change of the schema is a new file. Tables and columns are those of SQLite's
schema, so that rows can be copied from one to the other.
"""
