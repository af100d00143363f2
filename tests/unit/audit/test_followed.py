"""A replay tells who was told of an erasure and when, as of any position, and what paper was destroyed."""

from __future__ import annotations

from replay_log import ANNA, CERTIFICATE, DISCLOSURE, OFFICER, RECIPIENT, REQUEST, SYSTEM, at, replay_anna, story, uid

NAMED = {"request_id": REQUEST, "certificate_id": CERTIFICATE}


def told():
    """Return the story with what followed: positions 19 to 24."""
    log, anna = story(), [ANNA]
    owed = {**NAMED, "recipient_id": RECIPIENT, "disclosure_ids": [DISCLOSURE], "due": at(59)}
    log.add("RecipientNotificationScheduled", ANNA, anna, SYSTEM, owed)
    sent = {**NAMED, "recipient_id": RECIPIENT, "channel": "email", "sent": at(20), "delivery": "failed"}
    log.add("RecipientNotifiedOfErasure", ANNA, anna, OFFICER, sent)
    log.add("RecipientNotifiedOfErasure", ANNA, anna, OFFICER, {**sent, "sent": at(21), "delivery": "delivered"})
    acknowledged = {**NAMED, "recipient_id": RECIPIENT, "channel": "email", "acknowledged": at(22)}
    log.add("RecipientAcknowledgedErasure", ANNA, anna, OFFICER, acknowledged)
    paper = {**NAMED, "report_id": uid(77), "method": "shredding", "documents": 3, "destroyed": at(23)}
    log.add("PaperDestructionReported", ANNA, anna, OFFICER, paper)
    log.add("PaperRecordsDestroyed", ANNA, anna, OFFICER, paper)
    return log


def erasure(as_of):
    [found] = replay_anna(as_of, told())["state"]["erasures"]
    return found


def test_a_recipient_as_of_each_step():
    owed = {
        "recipient_id": RECIPIENT,
        "disclosure_ids": [DISCLOSURE],
        "due": at(59),
        "sent": None,
        "acknowledged": None,
    }

    assert "recipients" not in erasure("18")
    assert erasure("19")["recipients"] == erasure("20")["recipients"] == [owed]
    assert erasure("21")["recipients"] == [{**owed, "sent": at(21)}]
    assert erasure("22")["recipients"] == [{**owed, "sent": at(21), "acknowledged": at(22)}]


def test_paper_counts_once_a_second_person_has_confirmed_it():
    assert "paper" not in erasure("23")
    assert erasure("24")["paper"] == [
        {"report_id": uid(77), "method": "shredding", "documents": 3, "destroyed": at(23)}
    ]
