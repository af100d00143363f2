"""What runs on Kafka: the relay, the inbox, the runner of projections, dead letters, and the worker that holds them.

May import ``application``, ``projections``, ``audit``, ``store``, ``vault`` and ``domain``. Only here is Kafka spoken.
"""
