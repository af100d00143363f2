"""The command line, ``casekeeper …``: thin; may import every room.

Each module with a command has it as its attribute ``command``; ``cli.main`` names the module and loads it on use.
"""
