"""The API's operations and their OpenAPI document, made once per process, for tests that go through all of them."""

from __future__ import annotations

from typing import Any, Final

from api.openapi.document import openapi_document
from api.routes import OPERATIONS
from api.routes.openapi import with_documents

DECLARED: Final = with_documents(OPERATIONS, "0")
DOCUMENT: Final[dict[str, Any]] = openapi_document(DECLARED, "0")
