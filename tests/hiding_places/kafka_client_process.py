"""A process that writes a record to Kafka and reads it again with the client's loggers at their most talkative.

Arguments: ``ours`` or not, brokers, topic, marker.
"""

from __future__ import annotations

import logging
import sys

from kafka import TopicPartition

from application.logging import configure
from consumers.clients import consumer, producer


def main() -> None:
    whose, brokers, topic, marker = sys.argv[1:]
    logging.basicConfig(level=logging.DEBUG)
    if whose == "ours":
        configure("debug")
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "kafka":
            # As somebody would who looks for a fault; the level we give the parent is then passed by.
            logging.getLogger(name).setLevel(logging.DEBUG)
    writing = producer(brokers)
    writing.send(topic, key=marker.encode(), value=marker.encode(), headers=[(marker, marker.encode())]).get(timeout=20)
    writing.close()
    reading = consumer(brokers, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    reading.assign([partition])
    reading.seek(partition, 0)
    while not reading.poll(timeout_ms=500):
        pass
    reading.close()


if __name__ == "__main__":
    main()
