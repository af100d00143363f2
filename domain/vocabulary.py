"""The closed enumerations: every word that may stand in clear in an event.

A word that says something about a person's health is in none of them: such words are sealed.
"""

from __future__ import annotations

ROLES = frozenset({"service", "case_manager", "privacy_officer", "regulator", "operator", "system"})
PURPOSES_OF_USE = frozenset({"intake", "rights", "casework", "audit", "operations", "erasure"})
"""Why somebody uses the service (a token's purpose)."""

PURPOSES = frozenset({"treatment", "insurance_claim", "legal"})
"""What data is disclosed for, and consented to (policy clauses 2 and 3)."""

CATEGORIES = frozenset({"identity", "medical", "insurance", "payment", "device", "correspondence"})
"""Categories of personal data, each with key scopes of its own (policy clauses 1.1 and 1.2)."""

LEGAL_BASES = frozenset({"consent", "contract", "legal_obligation", "legitimate_interest"})
CASE_KINDS = frozenset({"second_opinion", "care_coordination"})
CASE_STATES = frozenset({"open", "closed"})
CLOSURE_REASONS = frozenset({"completed", "withdrawn", "transferred", "opened_in_error"})
FORMS = frozenset({"medical_intake"})
RECIPIENT_KINDS = frozenset({"provider", "insurer", "authority", "processor"})
METHODS = frozenset({"web_form", "paper", "telephone"})
VERIFICATION_METHODS = METHODS | {"identity_document", "in_person", "video", "email"}
CHANNELS = frozenset({"web", "email", "telephone", "paper"})
RIGHTS = frozenset({"access", "export", "rectification", "erasure", "restriction", "objection"})
VERIFICATION_OUTCOMES = frozenset({"verified", "failed"})
REFUSAL_GROUNDS = frozenset({"identity_not_verified", "manifestly_unfounded", "withdrawn_by_person"})
WITHHOLDING_GROUNDS = frozenset({"legal_hold", "accounting_duty", "legal_obligation"})
DELIVERIES = frozenset({"delivered", "failed"})
"""What became of a message to a recipient."""
DESTRUCTION_METHODS = frozenset({"shredding", "incineration", "pulping"})
"""How paper is destroyed (policy clause 7.2)."""
SUPPLEMENT_FACTS = frozenset({"RecipientNotifiedOfErasure", "RecipientAcknowledgedErasure", "PaperRecordsDestroyed"})
"""The types of the events that a supplement to a certificate reports."""

HOLD_GROUNDS = frozenset({"legal_hold", "legal_obligation"})
"""Why a hold keeps data from erasure (GDPR Art. 17(3)(e) and (b)): no word tells what the matter is about."""

HOLD_REASONS = frozenset({"already_destroyed"})
"""Why a hold, or a part of it, has no effect."""

BASIS_TYPES = frozenset({"consent"})
PRODUCERS = frozenset({"api", "inbox", "saga", "schedule", "cli"})
RESOURCES = frozenset(
    {
        "subject",
        "worklist",
        "case",
        "consents",
        "disclosures",
        "requests",
        "preview",
        "holds",
        "certificate",
        "replay",
        "release",
        "search",
    }
)
VIEWS = frozenset(
    {
        "people",
        "worklist",
        "case_page",
        "consents",
        "disclosures",
        "recipients",
        "requests",
        "search_index",
        "forget",
    }
)

LANGUAGES = frozenset(
    [
        "aa",
        "ab",
        "ae",
        "af",
        "ak",
        "am",
        "an",
        "ar",
        "as",
        "av",
        "ay",
        "az",
        "ba",
        "be",
        "bg",
        "bi",
        "bm",
        "bn",
        "bo",
        "br",
        "bs",
        "ca",
        "ce",
        "ch",
        "co",
        "cr",
        "cs",
        "cu",
        "cv",
        "cy",
        "da",
        "de",
        "dv",
        "dz",
        "ee",
        "el",
        "en",
        "eo",
        "es",
        "et",
        "eu",
        "fa",
        "ff",
        "fi",
        "fj",
        "fo",
        "fr",
        "fy",
        "ga",
        "gd",
        "gl",
        "gn",
        "gu",
        "gv",
        "ha",
        "he",
        "hi",
        "ho",
        "hr",
        "ht",
        "hu",
        "hy",
        "hz",
        "ia",
        "id",
        "ie",
        "ig",
        "ii",
        "ik",
        "io",
        "is",
        "it",
        "iu",
        "ja",
        "jv",
        "ka",
        "kg",
        "ki",
        "kj",
        "kk",
        "kl",
        "km",
        "kn",
        "ko",
        "kr",
        "ks",
        "ku",
        "kv",
        "kw",
        "ky",
        "la",
        "lb",
        "lg",
        "li",
        "ln",
        "lo",
        "lt",
        "lu",
        "lv",
        "mg",
        "mh",
        "mi",
        "mk",
        "ml",
        "mn",
        "mr",
        "ms",
        "mt",
        "my",
        "na",
        "nb",
        "nd",
        "ne",
        "ng",
        "nl",
        "nn",
        "no",
        "nr",
        "nv",
        "ny",
        "oc",
        "oj",
        "om",
        "or",
        "os",
        "pa",
        "pi",
        "pl",
        "ps",
        "pt",
        "qu",
        "rm",
        "rn",
        "ro",
        "ru",
        "rw",
        "sa",
        "sc",
        "sd",
        "se",
        "sg",
        "si",
        "sk",
        "sl",
        "sm",
        "sn",
        "so",
        "sq",
        "sr",
        "ss",
        "st",
        "su",
        "sv",
        "sw",
        "ta",
        "te",
        "tg",
        "th",
        "ti",
        "tk",
        "tl",
        "tn",
        "to",
        "tr",
        "ts",
        "tt",
        "tw",
        "ty",
        "ug",
        "uk",
        "ur",
        "uz",
        "ve",
        "vi",
        "vo",
        "wa",
        "wo",
        "xh",
        "yi",
        "yo",
        "za",
        "zh",
        "zu",
    ]
)
"""ISO 639-1 language codes."""
