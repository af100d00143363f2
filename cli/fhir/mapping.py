"""Maps one clinical resource, with the names of medications and insurers that it refers to looked up."""

from __future__ import annotations

from cli.fhir.addresses import keys_for, place_of
from cli.fhir.clinical import LeftOut, Taken, map_allergy, map_condition, map_medication
from cli.fhir.coverage import Insurance, map_coverage
from cli.fhir.documents import Entry
from cli.fhir.elements import Json, concept_text, obj, text
from cli.fhir.encounter import Visit, map_encounter
from cli.fhir.index import Index, contained_in
from cli.fhir.references import parse_reference

Mapped = Taken | Insurance | Visit | LeftOut


def map_clinical(entry: Entry, type_: str, index: Index) -> Mapped:
    """Map a resource of one of the imported types."""
    resource = entry.resource
    if type_ == "Condition":
        return map_condition(resource)
    if type_ == "AllergyIntolerance":
        return map_allergy(resource)
    if type_ == "MedicationRequest":
        return map_medication(resource, lambda reference: _name(entry, reference, "Medication", index))
    if type_ == "Coverage":
        return map_coverage(resource, lambda reference: _name(entry, reference, "Organization", index))
    place = place_of(entry)
    return map_encounter(resource, lambda reference: tuple(keys_for(place, parse_reference(reference), "Condition")))


def _name(entry: Entry, reference: Json, type_: str, index: Index) -> str | None:
    for found in parse_reference(reference):
        if found.contained:
            inner = contained_in(entry.resource, found.contained, type_) or {}
            return concept_text(obj(inner, "code")) if type_ == "Medication" else text(inner, "name")
    return index.name_of(place_of(entry), reference, type_)
