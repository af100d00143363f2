"""Seals personal data, opens it, and destroys the keys that a forgotten person's data hangs from.

May import: ``domain`` (value types and errors), ``postgres``, ``cryptography``, ``psycopg2``. Nothing else of ours.
"""
