"""What has changed between the preview an officer approves and what an erasure would do now (policy clause 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from domain.errors import FieldProblem
from domain.events.rights import ErasurePreviewed


def preview_changes(
    shown: ErasurePreviewed, erasable: tuple[UUID, ...], withheld: Mapping[UUID, str], gone: tuple[UUID, ...]
) -> list[FieldProblem]:
    """Return one entry for each key scope that came into a list, left it, or is withheld on another ground.

    ``field`` is the list of the preview (``erasable``, ``withheld``, ``gone``); ``problem`` names the scope by its id.
    """
    lists = (
        ("erasable", shown.erasable, erasable),
        ("withheld", shown.withheld, tuple(withheld)),
        ("gone", shown.gone, gone),
    )
    changes = []
    for name, before, now in lists:
        changes += [FieldProblem(name, f"scope {scope_id} has come in") for scope_id in now if scope_id not in before]
        changes += [FieldProblem(name, f"scope {scope_id} has left") for scope_id in before if scope_id not in now]
    grounds = dict(zip(shown.withheld, shown.withheld_grounds, strict=True))
    changes += [
        FieldProblem("withheld", f"scope {scope_id} is withheld on another ground")
        for scope_id, ground in withheld.items()
        if grounds.get(scope_id, ground) != ground
    ]
    return changes
