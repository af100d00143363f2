"""What different spellings of one value come to, and what must stay apart. The expected forms are written by hand."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from domain.search_terms import FIELDS, matches, term, terms_of_identity, terms_of_insurance

NAMES = [
    ("case", "McDONALD", "mcdonald"),
    ("composed", "Jos\u00e9", "jose"),
    ("decomposed", "Jose\u0301", "jose"),
    ("two marks in either order", "\u1ebf", "e"),
    ("two marks decomposed", "e\u0301\u0302", "e"),
    ("Turkish capital dotted i", "\u0130pek", "ipek"),
    ("Turkish dotless i", "I\u015f\u0131k", "isik"),
    ("Turkish dotless i in capitals", "I\u015eIK", "isik"),
    ("sharp s", "Stra\u00dfer", "strasser"),
    ("capital sharp s", "STRA\u1e9eER", "strasser"),
    ("ligature", "\ufb01nnegan", "finnegan"),
    ("ligature of three", "O\ufb03cer", "officer"),
    ("ae", "\u00c6gir", "aegir"),
    ("o with a stroke", "S\u00f8ren", "soren"),
    ("Polish l", "\u0141ukasz", "lukasz"),
    ("thorn and eth", "\u00de\u00f3r\u00f0ur", "thordur"),
    ("Vietnamese", "Nguy\u1ec5n \u0110\u1ee9c", "nguyenduc"),
    ("umlaut", "M\u00fcller", "muller"),
    ("typewriter apostrophe", "O'Brien", "obrien"),
    ("typographic apostrophe", "O\u2019Brien", "obrien"),
    ("modifier letter apostrophe", "O\u02bcBrien", "obrien"),
    ("acute for an apostrophe", "O\u00b4Brien", "obrien"),
    ("grave for an apostrophe", "O`Brien", "obrien"),
    ("okina", "Ka\u02bbiulani", "kaiulani"),
    ("hyphen", "Jean-Luc", "jeanluc"),
    ("hyphen that does not break", "Jean\u2011Luc", "jeanluc"),
    ("spaces", "  Jean \u00a0 Luc ", "jeanluc"),
    ("soft hyphen", "Jean\u00adLuc", "jeanluc"),
    ("full stop", "St. John", "stjohn"),
    ("full-width letters", "\uff21\uff44\uff41", "ada"),
    ("Greek with tonos", "\u0393\u03b9\u03ac\u03bd\u03bd\u03b7\u03c2", "\u03b3\u03b9\u03b1\u03bd\u03bd\u03b7\u03c3"),
    ("Greek capitals", "\u0393\u0399\u0391\u039d\u039d\u0397\u03a3", "\u03b3\u03b9\u03b1\u03bd\u03bd\u03b7\u03c3"),
    ("Cyrillic yo", "\u041f\u0451\u0442\u0440", "\u043f\u0435\u0442\u0440"),
    ("Cyrillic short i", "\u0421\u0435\u0440\u0433\u0435\u0439", "\u0441\u0435\u0440\u0433\u0435\u0439"),
    ("Arabic without points", "\u0645\u062d\u0645\u062f", "\u0645\u062d\u0645\u062f"),
    ("Arabic with points", "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f", "\u0645\u062d\u0645\u062f"),
    ("Arabic with a tatweel", "\u0645\u062d\u0640\u0645\u062f", "\u0645\u062d\u0645\u062f"),
    ("Arabic alef with hamza", "\u0623\u062d\u0645\u062f", "\u0627\u062d\u0645\u062f"),
    ("Hebrew with points", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
    ("Han", "\u738b \u5c0f\u660e", "\u738b\u5c0f\u660e"),
    ("Han compatibility form", "\uf98e", "\u5e74"),
    ("Hangul decomposed", "\u1100\u1175\u11b7", "\uae40"),
    ("half-width katakana", "\uff76\uff9e", "\u30ac"),
    ("kana keeps its voicing mark", "\u304c", "\u304c"),
    ("Devanagari keeps its vowel signs", "\u0938\u0940\u0924\u093e", "\u0938\u0940\u0924\u093e"),
    ("figures", "Ada \uff12", "ada2"),
    ("nothing but punctuation", "--'", "--'"),
]  # fmt: skip
OTHERS = [
    ("email", "Ada@Example.ORG", "ada@example.org"),
    ("email", "ada@b\u00fccher.example", "ada@xn--bcher-kva.example"),
    ("email", "ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
    ("email", "ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
    ("email", "ada@example.org.", "ada@example.org"),
    ("email", "\uff41da@example\u3002org", "ada@example.org"),
    ("email", "a.da+x@example.org", "a.da+x@example.org"),
    ("email", "jos\u00e9@example.org", "jos\u00e9@example.org"),
    ("email", "ada@" + "x" * 70 + ".example", "ada@" + "x" * 70 + ".example"),
    ("phone", "+44 20 7946 0018", "79460018"),
    ("phone", "(020) 7946-0018", "79460018"),
    ("phone", "0044 (0)20 7946 0018", "79460018"),
    ("phone", "+44 (0) 20.7946.0018", "79460018"),
    ("phone", "020 7946 0018 x123", "79460018"),
    ("phone", "020 7946 0018, 4", "79460018"),
    ("phone", "5550100", "5550100"),
    ("phone", "+1 555 0100", "15550100"),
    ("phone", "\uff0b44 20 \uff17\uff19\uff14\uff16 0018", "79460018"),
    ("phone", "\u0664\u0664 20 7946 0018", "79460018"),
    ("phone", "(((", "((("),
    ("birth_date", "1970-02-03", "1970-02-03"),
    ("birth_date", "1970", "1970"),
    ("record_number", "EM-0001", "em0001"),
    ("record_number", " em 0001 ", "em0001"),
    ("record_number", "\uff25\uff2d/0001", "em0001"),
    ("record_number", "0001", "0001"),
    ("record_number", "#", "#"),
]


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
@pytest.mark.parametrize("field", ["given_name", "family_name"])
def test_a_name_comes_to_one_form(field, value, expected):
    assert term(field, value) == expected


@pytest.mark.parametrize(("field", "value", "expected"), OTHERS)
def test_another_value_comes_to_one_form(field, value, expected):
    assert term(field, value) == expected


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("family_name", "M\u00fcller", "Mueller"),
        ("given_name", "Bob", "Robert"),
        ("given_name", "\u304b", "\u304c"),
        ("given_name", "\u0638", "\u0637"),
        ("given_name", "\u0421\u0435\u0440\u0433\u0435\u0439", "\u0421\u0435\u0440\u0433\u0435\u0438"),
        ("given_name", "\u0915\u093f", "\u0915\u0940"),
        ("email", "a.da@example.org", "ada@example.org"),
        ("email", "ada+x@example.org", "ada@example.org"),
        ("record_number", "0001", "1"),
        ("birth_date", "1970", "1970-01-01"),
    ],
)
def test_nothing_is_guessed(field, one, other):
    assert term(field, one) != term(field, other)


TEXTS = st.text(max_size=40) | st.text(
    st.characters(categories=["Lu", "Ll", "Lt", "Lm", "Mn", "Sk", "Po"]), max_size=12
)


@pytest.mark.parametrize("field", FIELDS)
@examples(max_examples=100, deadline=None)
@given(value=TEXTS)
def test_a_term_is_its_own_term(field, value):
    once = term(field, value)
    assert term(field, once) == once


@pytest.mark.parametrize("field", FIELDS)
@examples(max_examples=100, deadline=None)
@given(value=TEXTS.filter(lambda text: bool(text.strip())))
def test_a_term_of_something_is_something_and_does_not_depend_on_the_normal_form(field, value):
    assert term(field, value)
    assert term(field, unicodedata.normalize("NFD", value)) == term(field, unicodedata.normalize("NFC", value))


@examples(max_examples=100, deadline=None)
@given(value=st.text(st.characters(max_codepoint=127), max_size=30))
def test_the_short_way_for_plain_names_comes_to_the_same(value):
    """A letter of another script behind the name takes it the long way."""
    assert term("given_name", value + "\u738b") == term("given_name", value + "x")[:-1] + "\u738b"


ADA = {"given_name": "Ada", "family_name": "O'Brien", "birth_date": "1970-02-03", "email": "ada@example.org",
       "phone": "+44 20 7946 0018", "address": {"city": "Sampleton"}, "time_zone": None}  # fmt: skip


def test_the_terms_of_what_there_is():
    assert terms_of_identity(ADA) == {
        "given_name": "ada",
        "family_name": "obrien",
        "birth_date": "1970-02-03",
        "email": "ada@example.org",
        "phone": "79460018",
    }
    assert terms_of_identity({"given_name": "Ada", "email": None, "phone": 7}) == {"given_name": "ada"}
    assert terms_of_insurance({"insurer": "Example Mutual", "member_number": "EM-0001"}) == {"record_number": "em0001"}
    assert terms_of_insurance({"insurer": "Example Mutual", "member_number": None}) == {}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"given_name": "ADA", "family_name": "obrien"}, True),
        ({"given_name": "ADA", "family_name": "Byron"}, False),
        ({"birth_date": "1970-02-03", "record_number": "em 0001"}, True),
        ({"birth_date": "1970-02-03", "record_number": "em 0002"}, False),
        ({"phone": "020 7946 0018"}, True),
        ({"phone": "7946 0018"}, True),
        ({"phone": "+44 20 7946 0018"}, True),
        ({"phone": "0044 20 7946 0018"}, True),
        ({"phone": "+33 20 7946 0018"}, False),
        ({"phone": "021 7946 0018"}, False),
        ({"phone": "46 0018"}, False),
        ({"email": "ADA@EXAMPLE.ORG"}, True),
        ({"email": "ada@example.net"}, False),
    ],
)
def test_who_is_asked_for_is_compared_as_a_whole(asked, found):
    insurances = [{"insurer": "x", "member_number": "EM-0001"}, {"insurer": "y", "member_number": None}]
    assert matches(asked, ADA, insurances) is found


def test_what_a_person_does_not_have_does_not_match():
    assert not matches({"phone": "020 7946 0018"}, {"given_name": "Ada", "phone": None}, [])
    assert not matches({"record_number": "1"}, ADA, [])
