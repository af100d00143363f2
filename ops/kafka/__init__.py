"""The local broker: the genuine Apache Kafka server, fetched through Maven, in KRaft mode with one node."""
