"""Hand-written FHIR for the tests, and the import of it. All people are invented."""

from __future__ import annotations

import json
from pathlib import Path

from cli.fhir.intake import Import
from cli.fhir.reading import FhirFiles
from cli.fhir.report import Report

MRN = "https://hospital.test/mrn"


def patient(id_="p1", family="Heide", given="Anna", mrn=None, **more):
    resource = {
        "resourceType": "Patient",
        "id": id_,
        "name": [{"family": family, "given": [given]}],
        "birthDate": "1974-12-25",
    }
    identifier = {"identifier": [{"system": MRN, "value": mrn}]} if mrn else {}
    return {**resource, **identifier, **more}


def condition(name, subject="Patient/p1", **more):
    return {"resourceType": "Condition", "code": {"text": name}, "subject": {"reference": subject}, **more}


def bundle(*entries, kind="collection"):
    """Return a Bundle of resources, or of (fullUrl, resource) pairs."""
    made = [{"fullUrl": e[0], "resource": e[1]} if isinstance(e, tuple) else {"resource": e} for e in entries]
    return {"resourceType": "Bundle", "type": kind, "entry": made}


def read(tmp_path: Path, *contents) -> tuple[list[Import], Report]:
    """Import contents (objects, lists of objects as NDJSON, text or bytes), a file each."""
    paths = []
    for number, content in enumerate(contents):
        if isinstance(content, dict):
            content = json.dumps(content)
        elif isinstance(content, list):
            content = "".join(json.dumps(line) + "\n" for line in content)
        path = tmp_path / f"{number}.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(path)
    report = Report()
    return list(FhirFiles.open(paths).imports("en", "1", report)), report


def histories(imports):
    """Return family name → names of conditions, over all intakes of all people."""
    return {
        i.registration["identity"].get("family_name"): [c["condition"] for a in i.answers for c in a["medical_history"]]
        for i in imports
    }
