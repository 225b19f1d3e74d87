"""The database's schema, version by version: `NNNN_name.sql` brings it from version NNNN - 1 to NNNN.

A file that was released is never edited; a change of the schema is a new file.
"""
