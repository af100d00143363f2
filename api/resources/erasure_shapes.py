"""The shapes of an erasure's preview and certificate."""

from __future__ import annotations

from api.sample import ID, LATER, OTHER_ID, RECEIPT, THIRD_ID, TIME
from api.shapes import FLAG, IDENTIFIER, INSTANT, NUMBER, RECEIPT_REF, TEXT, listed, nullable, one_of, thing
from domain import vocabulary

_SCOPE = {"scope_id": IDENTIFIER, "category": one_of(vocabulary.CATEGORIES), "case_id": nullable(IDENTIFIER)}
_GROUND = one_of(vocabulary.WITHHOLDING_GROUNDS)

PREVIEW = thing(
    preview_id=IDENTIFIER,
    erasable=listed(thing(**_SCOPE, engagement=NUMBER)),
    withheld=listed(thing(**_SCOPE, engagement=NUMBER, ground=_GROUND, review_date=INSTANT)),
    gone=listed(thing(**_SCOPE, engagement=NUMBER)),
    receipt=RECEIPT_REF,
)
"""What an erasure would do now, scope by scope."""

CERTIFICATE = thing(
    certificate_id=IDENTIFIER,
    request_id=IDENTIFIER,
    subject_id=IDENTIFIER,
    state={"const": "certified"},
    whole_person=FLAG,
    fenced_at=INSTANT,
    destroyed_at=INSTANT,
    unrecoverable_after=INSTANT,
    certified_at=INSTANT,
    scopes=listed(thing(**_SCOPE)),
    withheld=listed(thing(scope_id=IDENTIFIER, ground=_GROUND)),
    root_epochs=thing(before=NUMBER, after=NUMBER),
    fingerprints=listed(TEXT),
    views={"type": "object", "additionalProperties": NUMBER},
    not_proven=listed(TEXT),
    receipt=RECEIPT_REF,
)
"""When and what was erased, what was withheld and why, and what is not proven."""

_EXAMPLE_SCOPE = {"scope_id": OTHER_ID, "category": "medical", "case_id": THIRD_ID}

PREVIEW_EXAMPLE = {
    "preview_id": ID,
    "erasable": [{**_EXAMPLE_SCOPE, "engagement": 1}],
    "withheld": [
        {
            "scope_id": ID,
            "category": "payment",
            "case_id": None,
            "engagement": 1,
            "ground": "accounting_duty",
            "review_date": LATER,
        }
    ],
    "gone": [],
    "receipt": RECEIPT,
}
CERTIFICATE_EXAMPLE = {
    "certificate_id": THIRD_ID,
    "request_id": ID,
    "subject_id": OTHER_ID,
    "state": "certified",
    "whole_person": True,
    "fenced_at": TIME,
    "destroyed_at": TIME,
    "unrecoverable_after": TIME,
    "certified_at": TIME,
    "scopes": [_EXAMPLE_SCOPE],
    "withheld": [],
    "root_epochs": {"before": 1, "after": 2},
    "fingerprints": ["9f86d081884c7d65"],
    "views": {"people": 42},
    "not_proven": ["data already disclosed to recipients"],
    "receipt": RECEIPT,
}
