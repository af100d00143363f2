"""All views."""

from __future__ import annotations

from projections.base import Projection
from projections.case_page import CasePage
from projections.consents import Consents
from projections.disclosures import Disclosures
from projections.forget import Forget, Forgetting
from projections.people import People
from projections.read_model import ReadModel
from projections.recipients import Recipients
from projections.requests import Requests
from projections.worklist import Worklist

VIEWS: tuple[type[ReadModel], ...] = (
    People,
    Worklist,
    CasePage,
    Consents,
    Disclosures,
    Recipients,
    Requests,
    Forget,
)
"""Every view of the service; their names are ``domain.vocabulary.VIEWS``."""


def projections(forgetting: Forgetting) -> tuple[Projection, ...]:
    """Return one projection of each view; ``forgetting`` carries out the steps of erasures."""
    return tuple(view(forgetting) if view is Forget else view() for view in VIEWS)
