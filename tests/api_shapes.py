"""Holds answers against the published OpenAPI document: every property documented, every documented one there."""

from __future__ import annotations

import copy
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker


class Documented:
    """The OpenAPI document of an application."""

    def __init__(self, client: Any) -> None:
        self.document = client.get("/openapi.json").get_json()
        self._strict = _strict(copy.deepcopy(self.document))

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return (METHOD, path template, operation)."""
        return [
            (method.upper(), path, item[method])
            for path, item in self.document["paths"].items()
            for method in ("get", "post")
            if method in item
        ]

    def check(self, response: Any, method: str, template: str) -> Any:
        """Assert that a response is documented for this operation, and return its JSON."""
        operation = self._strict["paths"][template][method.lower()]
        answer = operation["responses"][str(response.status_code)]
        if "$ref" in answer:
            answer = self._strict["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        if "content" not in answer:
            assert response.data == b""
            return None
        content = answer["content"][response.mimetype]
        schema = {**content["schema"], "components": self._strict["components"]}
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(response.get_json())
        return response.get_json()


def _strict(node: Any) -> Any:
    """Let no object have properties that are not documented."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _strict(value)
    elif isinstance(node, list):
        for value in node:
            _strict(value)
    return node
