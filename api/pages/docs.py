"""``/docs``: the OpenAPI document as a page to read, made on the server and loading nothing from elsewhere."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template

from application.problems import BY_SLUG

blueprint = Blueprint("docs", __name__)

_METHODS = ("get", "post")


@blueprint.get("/docs")
def docs() -> Response:
    """Show every operation with its rights, parameters, body, answers and an example."""
    spec = current_app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict()
    html = render_template(
        "docs.html",
        viewer=None,
        info=spec["info"],
        groups=_groups(spec),
        problems=sorted(BY_SLUG.values(), key=lambda kind: (kind.status, kind.slug)),
    )
    return make_response(html)


def _groups(spec: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in spec["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                groups.setdefault(operation["tags"][0], []).append(_operation(spec, path, method, item, operation))
    return list(groups.items())


def _operation(
    spec: dict[str, Any], path: str, method: str, item: dict[str, Any], operation: dict[str, Any]
) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return {
        "id": f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}",
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "parameters": [*item.get("parameters", []), *operation.get("parameters", [])],
        "fields": _fields(spec, body["schema"], "") if body else [],
        "body": _pretty(body["example"]) if body else None,
        "answers": [_answer(status, answer) for status, answer in operation["responses"].items()],
    }


def _answer(status: str, answer: dict[str, Any]) -> dict[str, Any]:
    reference = answer.get("$ref", "")
    content = answer.get("content", {}).get("application/json", {})
    return {
        "status": status,
        "description": answer.get("description", ""),
        "problem": bool(reference),
        "example": _pretty(content["example"]) if "example" in content else None,
    }


def _fields(spec: dict[str, Any], schema: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Return the fields of a body, nested ones by their dotted path; a list's entries as ``[]``."""
    schema = _resolved(spec, schema)
    if schema.get("type") == "array":
        return _fields(spec, schema.get("items", {}), f"{path}[]")
    found = []
    for name, inner in schema.get("properties", {}).items():
        whole = _resolved(spec, inner)
        here = f"{path}.{name}" if path else name
        found.append({"path": here, "required": name in schema.get("required", ()), "type": _type(whole)})
        found += _fields(spec, whole, here)
    return found


def _resolved(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") not in ("null", "string")]
    if len(choices) == 1:
        schema = choices[0]
    if "$ref" in schema:
        found: dict[str, Any] = spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(word) for word in schema["enum"] if word is not None)
    kinds = schema.get("type", "any")
    kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
    limit = f", at most {schema['maxLength']}" if "maxLength" in schema else ""
    return f"{kind} ({schema['format']})" if "format" in schema else kind + limit


def _pretty(example: Any) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)
