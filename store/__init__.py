"""The event store on PostgreSQL: append, read, migrate, refill. Imports ``domain`` and ``postgres`` only, and psycopg2.

- ``append``: what a command is and what it may come to; ``new_ids``: its identifiers;
- ``log``: :class:`store.log.EventLog`, the one door to the log;
- ``group_commit``, ``appender``, ``batch``, ``connection``, ``listen``: how it gets there;
- ``head_file``, ``refill``: how a store restored to the past is recognised and brought up to the topic;
- ``migrate``: numbered SQL files for any folder;
- ``persistence``, ``recorders``: the same log as an ``eventsourcing`` persistence module.
"""
