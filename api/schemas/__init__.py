"""What crosses the HTTP API, as pydantic models: they check requests, shape answers and make the OpenAPI document."""
