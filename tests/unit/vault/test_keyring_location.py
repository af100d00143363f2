from pathlib import Path

import pytest

from domain.errors import SettingInvalid
from vault.keyring_location import Folders, Token, parse

NAME = "CASEKEEPER_KEYRING"
MODULE, PIN = "module-path=/usr/lib/hsm.so", "pin-source=file:/run/pin"


def test_folders():
    assert parse("file:/a", NAME) == Folders((Path("/a"),))
    assert parse("file:/a,file:b/c", NAME) == Folders((Path("/a"), Path("b/c")))
    assert str(parse("file:/a,file:/b", NAME)) == "file:/a,file:/b"


def test_a_token_as_rfc_7512_writes_it():
    uri = f"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;serial=12;model=1.0;manufacturer=A,B?{MODULE}&{PIN}"

    found = parse(uri, NAME)

    token = "The Software PKCS#11 Softtoken"
    assert found == Token(Path("/usr/lib/hsm.so"), Path("/run/pin"), token, "12", "A,B", "1.0")
    assert parse(str(found), NAME) == found


def test_a_file_uri_may_have_an_empty_host():
    found = parse(f"pkcs11:token=a?{MODULE}&pin-source=file:///run/pin", NAME)

    assert found == Token(Path("/usr/lib/hsm.so"), Path("/run/pin"), "a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hsm:1", "must be file:/folder"),
        ("file:", "must be file:/folder"),
        ("file:/a,", "must be file:/folder"),
        ("file:/a,/b", "must be file:/folder"),
        ("file:/a,file:/x/../a", "one folder twice"),
        (f"file:/a,pkcs11:token=a?{MODULE}&{PIN}", "a device stands alone"),
        (f"pkcs11:token=a?{MODULE}&{PIN},file:/a", "a device stands alone"),
        (f"pkcs11:token=a?{MODULE}&{PIN},pkcs11:token=b?{MODULE}&{PIN}", "a device stands alone"),
        (f"pkcs11:?{MODULE}&{PIN}", "lacks token"),
        (f"pkcs11:token=a?{PIN}", "lacks module-path"),
        (f"pkcs11:token=a?{MODULE}", "lacks pin-source"),
        (f"pkcs11:token=a;object=b?{MODULE}&{PIN}", "attribute that cannot be used"),
        (f"pkcs11:token=a?{MODULE}&{PIN}&x-1=2", "attribute that cannot be used"),
        (f"pkcs11:token=a;token=b?{MODULE}&{PIN}", "no PKCS #11 URI"),
        (f"pkcs11:token?{MODULE}&{PIN}", "no PKCS #11 URI"),
        (f"pkcs11:token=a?module-path=hsm.so&{PIN}", "must be /a/path"),
        (f"pkcs11:token=a?{MODULE}&pin-source=|/bin/ask", "must be /a/path"),
        (f"pkcs11:token=a?{MODULE}&pin-source=file://host/pin", "must be /a/path"),
    ],
)
def test_what_is_refused(text, said):
    with pytest.raises(SettingInvalid, match=said) as refused:
        parse(text, NAME)

    assert NAME in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"pkcs11:token=a?{MODULE}&pin-value=canary-4711",
        f"pkcs11:token=a;pin-value=canary-4711?{MODULE}&{PIN}",
        f"pkcs11:token=a?{MODULE}&{PIN}&pin-valeu=canary-4711",
        f"pkcs11:token=a?{MODULE}&{PIN}&canary-4711=1",
        f"pkcs11:token=a?{MODULE}&pin-source=canary-4711",
        "pkcs11:canary-4711",
    ],
)
def test_a_pin_in_the_setting_is_refused_and_not_repeated(uri):
    with pytest.raises(SettingInvalid) as refused:
        parse(uri, NAME)

    assert "canary" not in str(refused.value)
