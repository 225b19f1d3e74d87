"""Queries of lists and pages, one module per subject: each column that the API and the dashboard show is read here."""
