"""The OpenAPI 3.1 document: components that every endpoint refers to, and the problem handler in smorest's place."""

from __future__ import annotations

from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin, resolver
from flask import Flask
from flask_smorest import Api

from api.endpoints import PROBLEM_DESCRIPTIONS
from api.problems import CONTENT_TYPE
from api.shapes import COMPONENTS, ref
from application.schemas import wire
from application.schemas.casework import TextOrObject

DESCRIPTION = """Medical case management in which every intake, consent, disclosure and deletion is an event.

Errors are RFC 9457 problem documents and never repeat what was sent. Writes take an `Idempotency-Key`, and answer with
a receipt; a read takes `?after=POSITION` of a receipt and waits, bounded, until its view has it. Where a value was
erased
stands `{"erased": {"at", "certificate_id"}}`, where the caller may not see it `{"masked": {"category"}}`."""

_STRINGS = (wire.Text, wire.Word, wire.PartialDate, wire.LanguageTag, wire.ActorName, wire.PolicyVersionName)


class DocumentedApi(Api):
    """flask-smorest's Api, without its error handling and paging, which are ours."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register none: :mod:`api.app` registers ours for every exception."""

    def _register_pagination_header(self) -> None:
        """Register none: pages carry ``next`` in their body."""


def document(app: Flask) -> Api:
    """Attach the document to an application; blueprints are registered on what is returned."""
    app.config.update(
        API_TITLE="casekeeper",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION},
            "security": [{"bearer": []}],
            "servers": [{"url": "/"}],
        },
    )
    marshmallow = MarshmallowPlugin(schema_name_resolver=_body_name)
    api = DocumentedApi(app, spec_kwargs={"marshmallow_plugin": marshmallow})
    for field in _STRINGS:
        api.register_field(field, "string", None)
    api.register_field(wire.Identifier, "string", "uuid")
    api.register_field(wire.Instant, "string", None)
    converter: Any = marshmallow.converter
    converter.add_attribute_function(_text_or_object)
    converter.add_attribute_function(_nullable_word)
    components = api.spec.components
    components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for name, shape in COMPONENTS.items():
        components.schema(name, dict(shape))
    for status, description in PROBLEM_DESCRIPTIONS.items():
        components.response(f"Problem{status}", _problem_response(description))
    return api


def _body_name(schema: Any) -> str:
    """Name a body's component after its schema class: ``OpenCaseSchema`` → ``OpenCaseBody``."""
    return resolver(schema) + "Body"


def _text_or_object(converter: Any, field: Any, **_: Any) -> dict[str, Any]:
    """Document an entry that is plain text or an object."""
    if not isinstance(field, TextOrObject):
        return {}
    text = {"type": "string", "maxLength": field.text.longest}
    return {"anyOf": [text, converter.resolve_nested_schema(field.nested.schema)]}


def _nullable_word(_converter: Any, field: Any, ret: dict[str, Any]) -> dict[str, Any]:
    """Let null stand among the words of a field that may be null."""
    return {"enum": [*ret["enum"], None]} if field.allow_none and None not in ret.get("enum", [None]) else {}


def _problem_response(description: str) -> dict[str, Any]:
    return {"description": description, "content": {CONTENT_TYPE: {"schema": ref("Problem")}}}
