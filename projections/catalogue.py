"""All views."""

from __future__ import annotations

from typing import Any

from projections.base import Projection
from projections.case_page import CasePage
from projections.consents import Consents
from projections.disclosures import Disclosures
from projections.forget import ErasureSteps, Forget
from projections.people import People
from projections.read_model import ReadModel
from projections.recipients import Recipients
from projections.requests import Requests
from projections.search_index import SearchIndex
from projections.worklist import Worklist
from vault.blind_index import EPOCH_DAYS
from vault.vault import Vault

VIEWS: tuple[type[ReadModel], ...] = (
    People,
    Worklist,
    CasePage,
    Consents,
    Disclosures,
    Recipients,
    Requests,
    SearchIndex,
    Forget,
)
"""Every view of the service; their names are ``domain.vocabulary.VIEWS``."""


def projections(steps: ErasureSteps, vault: Vault, index_days: int = EPOCH_DAYS) -> tuple[Projection, ...]:
    """Return one projection of each view.

    ``steps`` carries out those of erasures, ``vault`` opens what people are found by, and ``index_days`` is
    how long one index key is used.
    """
    needs: dict[type[ReadModel], tuple[Any, ...]] = {Forget: (steps,), SearchIndex: (vault, index_days)}
    return tuple(view(*needs.get(view, ())) for view in VIEWS)
