"""Generator of the reference page of the HTTP API.

python -m docs._generate.api > docs/reference/api.md
"""

from __future__ import annotations

import sys
from typing import Final

from api.openapi import webhooks
from api.openapi.document import openapi_document
from api.openapi.markdown import calls_section, models_section
from api.openapi.problem_table import problems_section
from api.routes import OPERATIONS
from api.routes.openapi import with_documents

_INTRODUCTION: Final = """\
A running service has this page at `/docs`, the OpenAPI 3.1 document at `/openapi.json`, and an explanation of each
problem at its `type`. [Another page](events.md) describes what handlers receive.

This page is generated from the operations in `api/routes`.
"""


def page() -> str:
    """The page, in Markdown."""
    document = openapi_document(with_documents(OPERATIONS, ""), "")
    events = webhooks.models()
    models = {name: model for name, model in document["components"]["schemas"].items() if name not in events}
    return "\n".join(
        [
            "# HTTP API\n",
            f"{document['info']['description']}\n",
            _INTRODUCTION,
            *calls_section(document),
            *models_section(models),
            *problems_section("`{type}`"),
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(page())
