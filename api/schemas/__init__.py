"""Pydantic models of API requests and responses, used for validation and for the OpenAPI document."""
