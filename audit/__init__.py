"""Replay from the topic alone. May import ``domain``, ``store`` and ``vault``; reads no database and opens nothing.

- ``replay``: the one call;
- ``as_of``: the moment that is asked for; ``erasures``: what was destroyed, by the log;
- ``person_state``, ``ledgers``, ``case_state``: what the events come to.
"""
