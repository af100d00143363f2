"""Who calls in the tests that go over HTTP: role, purpose of use, and the actor's id."""

from __future__ import annotations

Who = tuple[str, str, str]

INTAKE_SERVICE = ("service", "intake", "web-forms")
RIGHTS_SERVICE = ("service", "rights", "web-forms")
PERSON = ("service", "rights", "portal")
MANAGER = ("case_manager", "casework", "a1")
SECOND_MANAGER = ("case_manager", "casework", "a2")
OFFICER = ("privacy_officer", "rights", "p1")
SECOND_OFFICER = ("privacy_officer", "rights", "p2")
REGULATOR = ("regulator", "audit", "r1")
OPERATOR = ("operator", "operations", "o1")
EVERYBODY = (INTAKE_SERVICE, PERSON, MANAGER, SECOND_MANAGER, OFFICER, SECOND_OFFICER, REGULATOR, OPERATOR)
