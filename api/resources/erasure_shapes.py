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

_RECIPIENT = thing(
    recipient_id=IDENTIFIER,
    disclosure_ids=listed(IDENTIFIER),
    due=INSTANT,
    sent=nullable(INSTANT),
    acknowledged=nullable(INSTANT),
)
_SUPPLEMENT = thing(
    number=NUMBER,
    recorded_at=INSTANT,
    fact=one_of(vocabulary.SUPPLEMENT_FACTS),
    data={"type": "object"},
    jws=TEXT,
)

_RUN = {
    "document": {"const": "erasure_certificate"},
    "format": NUMBER,
    "certificate_id": IDENTIFIER,
    "request_id": IDENTIFIER,
    "subject_id": IDENTIFIER,
    "state": {"const": "certified"},
    "whole_person": FLAG,
    "fenced_at": INSTANT,
    "destroyed_at": INSTANT,
    "unrecoverable_after": INSTANT,
    "certified_at": INSTANT,
    "inbox_keys_destroyed_by": INSTANT,
    "index_residue_until": INSTANT,
    "events": thing(fenced=IDENTIFIER, destroyed=IDENTIFIER, certified=IDENTIFIER),
    "processes": nullable(thing(acknowledged=NUMBER, unanswered=NUMBER)),
    "suppressed_until": nullable(INSTANT),
    "scopes": listed(thing(**_SCOPE)),
    "withheld": listed(thing(**_SCOPE, ground=_GROUND, review_date=nullable(INSTANT))),
    "root_epochs": thing(before=NUMBER, after=NUMBER),
    "fingerprints": listed(TEXT),
    "views": {"type": "object", "additionalProperties": NUMBER},
    "recipients": listed(_RECIPIENT),
    "not_proven": listed(TEXT),
    "jws": nullable(TEXT),
    "supplements": listed(_SUPPLEMENT),
}

CERTIFICATE = thing(
    **_RUN,
    preceding=listed(thing(**_RUN)),
    receipt=RECEIPT_REF,
)
"""When and what was erased, what was withheld and why, who is to be told, and what is not proven.

``jws`` is the certificate as it was signed, ``null`` for one that was certified before certificates were signed.
``preceding``: the certificates of earlier runs of the same erasure, where what they withheld could be erased later.
"""

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
    "document": "erasure_certificate",
    "format": 1,
    "certificate_id": THIRD_ID,
    "request_id": ID,
    "subject_id": OTHER_ID,
    "state": "certified",
    "whole_person": True,
    "fenced_at": TIME,
    "destroyed_at": TIME,
    "unrecoverable_after": TIME,
    "certified_at": TIME,
    "inbox_keys_destroyed_by": LATER,
    "index_residue_until": LATER,
    "events": {"fenced": ID, "destroyed": OTHER_ID, "certified": THIRD_ID},
    "processes": {"acknowledged": 3, "unanswered": 0},
    "suppressed_until": LATER,
    "scopes": [_EXAMPLE_SCOPE],
    "withheld": [],
    "root_epochs": {"before": 1, "after": 2},
    "fingerprints": ["9f86d081884c7d65"],
    "views": {"people": 42},
    "recipients": [
        {"recipient_id": ID, "disclosure_ids": [OTHER_ID], "due": LATER, "sent": TIME, "acknowledged": None}
    ],
    "not_proven": ["data already disclosed to recipients"],
    "jws": "eyJhbGciOiJFZERTQSJ9.eyJkb2N1bWVudCI6ImVyYXN1cmVfY2VydGlmaWNhdGUifQ.c2lnbmF0dXJl",
    "supplements": [
        {
            "number": 1,
            "recorded_at": LATER,
            "fact": "RecipientNotifiedOfErasure",
            "data": {"recipient_id": ID, "channel": "email", "sent": TIME, "delivery": "delivered"},
            "jws": "eyJhbGciOiJFZERTQSJ9.eyJkb2N1bWVudCI6ImVyYXN1cmVfc3VwcGxlbWVudCJ9.c2lnbmF0dXJl",
        }
    ],
    "preceding": [],
    "receipt": RECEIPT,
}
