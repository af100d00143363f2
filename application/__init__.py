"""Command handlers, one per thing a user can do; the erasure saga; settings; wiring.

May import ``domain``, ``vault`` and ``store``.
"""
