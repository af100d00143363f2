"""The privacy policy as data: versions, what they promise, and where an erasure is withheld. Imports nothing."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Folder of the policy versions, one JSON file each (``v1.json``)."""
