"""What runs the service: local Kafka and PostgreSQL, the supervisor, container files.

Imports ``application`` settings and nothing else of ours. Local servers are the real ones, started by our own code
on loopback, each with its data in a folder of the home (see docs/adr/0007-local-servers.md).
"""
