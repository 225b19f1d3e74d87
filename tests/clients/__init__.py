"""Clients that generators make from the OpenAPI document, as docs/how-to/generate-a-client.md describes."""
