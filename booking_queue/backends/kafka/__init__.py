"""The parts of the Kafka backend; `kafka_topic.py` beside this folder is its door."""
