"""What runs on Kafka: relay, inbox and outcomes, runner of projections, dead letters, and the worker that holds them.

May import ``application``, ``projections``, ``audit``, ``store``, ``vault``, ``postgres`` and ``domain``, and of
``casekeeper_client`` what opens a client and reads a topic. Of the service, only this room speaks to Kafka.
"""
