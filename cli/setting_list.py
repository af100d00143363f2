"""Every setting with its value and meaning, taken from the source of ``Settings`` itself."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn, parse_dsn

from application.settings import Settings, variable
from domain.errors import SettingInvalid
from vault.keyring_location import parse

HIDDEN = "********"


@dataclass(frozen=True)
class ListedSetting:
    """One setting as shown: ``value`` has its secrets masked, ``meaning`` is the field's docstring in one line."""

    variable: str
    value: str
    meaning: str


def listed_settings(settings: Settings) -> Iterator[ListedSetting]:
    """Yield every setting in the order of its declaration."""
    meanings = _meanings()
    for field in fields(settings):
        value = getattr(settings, field.name)
        shown = masked_dsn(value) if field.name.endswith("_dsn") else value
        if field.name == "keyring":
            shown = masked_keyring(value)
        yield ListedSetting(variable(field.name), shown, meanings[field.name])


def masked_dsn(dsn: str) -> str:
    """Return a connection string without its password; one that cannot be read is hidden altogether."""
    try:
        parts = parse_dsn(dsn)
    except ProgrammingError:
        return HIDDEN
    secret = {name: HIDDEN for name in parts if "password" in name}
    return make_dsn(**{**parts, **secret}) if parts else ""


def masked_keyring(text: str) -> str:
    """Return where the keyring is; a text that is refused may hold a PIN and is hidden altogether."""
    try:
        return str(parse(text, variable("keyring"))) if text else ""
    except SettingInvalid:
        return HIDDEN


def _meanings() -> dict[str, str]:
    """Return the docstring under each field of ``Settings``."""
    body = ast.parse(inspect.getsource(Settings)).body[0]
    assert isinstance(body, ast.ClassDef)
    meanings = {}
    for declared, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(declared, ast.AnnAssign) and isinstance(declared.target, ast.Name):
            text = following.value.value if _is_text(following) else ""  # type: ignore[attr-defined]
            meanings[declared.target.id] = " ".join(text.replace("``", "").split())
    return meanings


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
