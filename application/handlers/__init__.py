"""Command handlers: one function for each thing a user can do.

Each takes the unit of work, the identifiers of the path and the checked body; it returns what the answer says beside
the receipt. It decides nothing itself: the aggregates do.
"""
