"""How long an index key is used."""

import pytest

from application.settings import Settings
from domain.errors import SettingInvalid


@pytest.mark.parametrize(("said", "days"), [("1", 1), ("30", 30), ("365", 365)])
def test_the_days_of_an_epoch_are_read(said, days):
    assert Settings.load({"CASEKEEPER_INDEX_EPOCH_DAYS": said, "CASEKEEPER_HOME": "/nowhere"}).index_days == days


def test_without_a_setting_an_epoch_has_thirty_days():
    assert Settings.load({"CASEKEEPER_HOME": "/nowhere"}).index_days == 30


@pytest.mark.parametrize("said", ["0", "366", "-1", "1.5", "thirty", "\u0663\u0660", " 7"])
def test_anything_else_is_refused_by_name(said):
    with pytest.raises(SettingInvalid, match="CASEKEEPER_INDEX_EPOCH_DAYS"):
        _ = Settings(index_epoch_days=said).index_days
