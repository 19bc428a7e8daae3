"""The no-Docker mode: where Redis, Kafka and Node come from, and the processes of the suite.

What is needed before the virtual environment exists (`mode`, `venv`, `env`, `probe`, `paths`) uses the
standard library alone.
"""
