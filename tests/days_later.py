"""The service as it will be: for what depends on the day."""

from __future__ import annotations

from datetime import timedelta

from application.service import Service


def days_later(service: Service, days: int) -> Service:
    """Return the service as it is some days from now, what is due by then being done."""
    there = service.clock() + timedelta(days=days)
    service.housekeeping(lambda: there)
    return Service(service.resources, service.reading, lambda: there)
