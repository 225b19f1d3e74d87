"""OpenAPI 3.1 document, generated from the operations and their models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http import problem_types as p
from api.http.body import size_text
from api.http.operation import Access, BodyType, Operation, ResponseSpec
from api.http.problem_types import ProblemType
from api.http.problems import PROBLEM_JSON
from api.http.response import JSON
from api.openapi import webhooks
from api.schemas.base import NAME_PATTERN
from api.schemas.service import Problem

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_ABOUT: Final = """\
Real-time e-mail events, POSTed to your own script.

Every request carries `Authorization: Bearer KEY`. Lists are `{"data": [...], "next": cursor or null}`. Times are \
RFC 3339 in UTC. Unknown fields and query parameters are errors.

Errors are `application/problem+json` (RFC 9457): `type` is the kind and links to an explanation, `detail` says \
what is wrong, and `errors` lists every invalid field.

Every POST honours `Idempotency-Key`: repeated with the same key within 24 hours, it returns the first response (with \
the header `Idempotency-Replayed: true`) and runs only once.

No number of requests is too many, and none is answered 429. A service that cannot keep up answers 503 with \
`Retry-After`; a body or a list beyond its limit is a 413 or a 422 that names the limit.

**In the fields of an event, `id` is the message's id, and `event` is the event's id.** `message` is the message's id \
under a second, clear name. `GET /v1/events` has what a handler receives in `fields`; the `id` next to `fields` is the \
event's."""
_SECURITY: Final[dict[Access, list[dict[str, list[str]]]]] = {
    Access.ANYBODY: [],
    Access.ACCOUNT: [{"apiKey": []}],
    Access.ADMIN: [{"adminKey": []}],
    Access.EITHER: [{"apiKey": []}, {"adminKey": []}],
}
_IDEMPOTENCY_KEY: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to repeat the request: any text that is unique to this request.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}
_PATH_PARAMETER: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": NAME_PATTERN}
_RETRY_AFTER: Final[Schema] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def openapi_document(operations: Sequence[Operation], version: str) -> Schema:
    """The document with every operation, its models and its possible problems."""
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "feedback-loops", "version": version, "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "webhooks": webhooks.webhooks(_REF),
        "components": {"schemas": _schemas(operations), "securitySchemes": _SECURITY_SCHEMES},
    }
    return cast(Schema, _with_enums(document))


def _with_enums(schema: Any) -> Any:
    """The schema with `enum` instead of `const`, which some generators of clients do not know."""
    if isinstance(schema, Mapping):
        return {
            "enum" if name == "const" else name: [value] if name == "const" else _with_enums(value)
            for name, value in schema.items()
        }
    return [_with_enums(item) for item in schema] if isinstance(schema, list | tuple) else schema


_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_SECURITY_SCHEMES: Final[Schema] = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of the account, from POST /v1/accounts or /v1/api-keys.",
    },
    "adminKey": {"type": "http", "scheme": "bearer", "description": "The service's admin key."},
}


def _schemas(operations: Sequence[Operation]) -> Schema:
    models: dict[type[BaseModel], None] = {Problem: None}
    for operation in operations:
        models |= {body.model: None for body in operation.bodies if body.model is not None}
        models |= {answer.model: None for answer in operation.responses if answer.model}
        if operation.problem_model:
            models[operation.problem_model[1]] = None
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas: Schema = definitions["$defs"]
    for operation in operations:
        schemas |= operation.query.model_json_schema(ref_template=_REF).get("$defs", {})
    return dict(sorted((schemas | webhooks.models()).items()))


def _operation(operation: Operation) -> Schema:
    found: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "security": _SECURITY[operation.access],
        "parameters": _parameters(operation),
        "requestBody": _request_body(operation.bodies) if operation.bodies else None,
        "responses": _responses(operation),
    }
    return {name: value for name, value in found.items() if value not in (None, "") and (value or name == "security")}


def _parameters(operation: Operation) -> list[Schema]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    found: list[Schema] = [{"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETER} for name in names]
    schema = operation.query.model_json_schema(ref_template=_REF)
    for name, field in schema.get("properties", {}).items():
        description = field.pop("description", "")
        found.append({"name": name, "in": "query", "description": description, "schema": _without_null(field)})
    for header in operation.headers:
        schema = {"type": "string", "pattern": header.pattern}
        found.append({"name": header.name, "in": "header", "description": header.description, "schema": schema})
    return [*found, _IDEMPOTENCY_KEY] if operation.has_idempotency else found


def _without_null(field: Schema) -> Schema:
    """The schema of a parameter, which may be missing but never null."""
    kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
    rest = {
        name: value for name, value in field.items() if name != "anyOf" and not (name == "default" and value is None)
    }
    return {**rest, **kinds[0]} if len(kinds) == 1 else field


def _request_body(bodies: Iterable[BodyType]) -> Schema:
    types: dict[str, list[str]] = {}
    content: Schema = {}
    for body in bodies:
        types.setdefault(size_text(body.max_bytes), []).append(f"`{body.media_type}`")
        described = {**_body_content(body), "example": _example(body)}
        # A second media type with the same schema is only in the description. Generators of clients would make the
        # same type an argument twice, and some clients could not be compiled.
        if described not in content.values():
            content[body.media_type] = described
    limits = ", ".join(f"{size} as {' or '.join(names)}" for size, names in types.items())
    return {"description": f"At most {limits}; a larger body gets 413.", "required": True, "content": content}


def _body_content(body: BodyType) -> Schema:
    if body.schema is not None or body.model is None:
        return {"schema": body.schema or {}}
    return _content(body.model, is_lines=body.is_lines)


def _example(body: BodyType) -> Any:
    """The example from the model's own fields, unless it is given; for NDJSON, one line as text."""
    if body.example is not None or body.model is None:
        return json.dumps(body.example) if body.is_lines else body.example
    fields = body.model.model_json_schema().get("properties", {})
    example = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
    return json.dumps(example) if body.is_lines else example


def _content(model: type[BaseModel], *, is_lines: bool) -> Schema:
    ref = _REF.format(model=model.__name__)
    if is_lines:
        # Before OpenAPI 3.2 and its `itemSchema`, there is no way to describe the schema of a line.
        return {
            "schema": {"type": "string", "description": f"One {model.__name__} per line."},
            "x-itemSchema": {"$ref": ref},
        }
    return {"schema": {"$ref": ref}}


def _responses(operation: Operation) -> Schema:
    found: Schema = {}
    for answer in operation.responses:
        response = found.setdefault(str(answer.status), {"description": answer.description, "content": {}})
        if answer.description != response["description"]:  # of another media type
            response["description"] += f" {answer.description}"
        if answer.status != 204:
            response["content"][answer.media_type] = _answer_content(answer)
    for kind in problems_of(operation):
        found.setdefault(str(kind.status), _problem_response(operation, kind.status))
    return {status: {k: v for k, v in response.items() if v} for status, response in sorted(found.items())}


def _answer_content(answer: ResponseSpec) -> Schema:
    if answer.model is None:
        return {"schema": {"type": "object" if answer.media_type == JSON else "string"}}
    return _content(answer.model, is_lines=answer.is_lines)


def problems_of(operation: Operation) -> list[ProblemType]:
    """Every kind of problem that the operation may return."""
    # The server itself refuses requests that are not HTTP, too long or too slow.
    found = [*operation.problems, p.INTERNAL, p.INVALID_INPUT, p.MALFORMED, p.TOO_SLOW, p.HEAD_TOO_LARGE]
    if "{" in operation.path:
        found.append(p.NOT_FOUND)  # also without an id: no operation is at that path
    if operation.access is not Access.ANYBODY:
        found += [p.UNAUTHORIZED, p.STORE_UNAVAILABLE, p.UNAVAILABLE, p.OVERLOADED]
    if operation.method not in {"GET", "DELETE"}:
        found += [p.TOO_LARGE, p.UNSUPPORTED_MEDIA_TYPE, p.CONCURRENT_WRITE]
    if operation.has_idempotency:
        found += [p.KEY_IN_PROGRESS, p.KEY_REUSED]
    return [kind for kind in p.PROBLEM_TYPES.values() if kind in found]


def _problem_response(operation: Operation, status: int) -> Schema:
    kinds = [kind for kind in problems_of(operation) if kind.status == status]
    model: type[BaseModel] = Problem
    if operation.problem_model and operation.problem_model[0] == status:
        model = operation.problem_model[1]
    return {
        "description": " ".join(f"{kind.title} (`{kind.type}`)." for kind in kinds),
        "headers": _RETRY_AFTER if any(kind.retry for kind in kinds) and status != 500 else {},
        "content": {PROBLEM_JSON: {"schema": {"$ref": _REF.format(model=model.__name__)}}},
    }
