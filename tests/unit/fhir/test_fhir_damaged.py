"""Resources damaged anywhere, with anything, are read or reported; none stops the import or spoils its neighbours."""

from __future__ import annotations

import copy
import json

from fhir_bundles import bundle, condition, histories, patient, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_fhir_import import EVERYTHING

from application.schemas.casework import MedicalIntakeSchema
from application.schemas.loading import load

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_NAMES = """
deceasedDateTime deceasedBoolean communication telecom address link identifier contained meta onsetAge onsetPeriod
onsetRange abatementDateTime note bodySite severity reaction dosageInstruction order class period reasonCode reason
reasonReference serviceType medication doNotPerform insurer birthDate name fullUrl type resourceType id
"""
NAMES = _NAMES.split()


def places(value, path=()):
    """Return the path of every value in a JSON value."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, child in inner for place in places(child, (*path, key))]


def put(value, path, new):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


@st.composite
def damaged(draw):
    resources = copy.deepcopy(EVERYTHING)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            resource = draw(st.sampled_from(resources))
            if isinstance(resource, dict):
                resource[draw(st.sampled_from(NAMES))] = draw(ANYTHING)
        else:
            put(resources, draw(st.sampled_from(places(resources))), draw(ANYTHING))
    return resources


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(resources=damaged(), shape=st.sampled_from(["bundle", "history", "lines"]))
def test_anything_anywhere(tmp_path, resources, shape):
    sound = bundle(patient("sound", "Sound", mrn="S-1"), condition("Gout", "Patient/sound"))
    entries = {"resourceType": "Bundle", "type": shape, "entry": [{"resource": r} for r in resources]}
    text = "\n".join(json.dumps(r) for r in resources) if shape == "lines" else json.dumps(entries)

    imports, report = read(tmp_path, sound, text)

    assert histories(imports)["Sound"] == ["Gout"]
    for found in imports:
        for answers in found.answers:
            load(MedicalIntakeSchema, answers)
    json.dumps(report.to_json())
