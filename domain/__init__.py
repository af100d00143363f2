"""What may happen: people, cases, consents, disclosures and forgetting, as pure rules.

Imports nothing of ours. No clock, database or network: time and identifiers come in as arguments.
"""
