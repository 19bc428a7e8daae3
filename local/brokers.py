"""Redis and Kafka alone, for a developer: `python -m local.brokers up` starts them and prints how to reach
them, `down` stops them.
"""

from __future__ import annotations

import sys

from local import env
from local.control import SuiteTrouble, stop_all
from local.ports import PortsTaken
from local.redis_server import RedisMissing
from local.up import start_brokers


def main() -> None:
    word = sys.argv[1] if len(sys.argv) > 1 else "up"
    try:
        env.load_env_file()
        if word == "down":
            stop_all()
            return
        start_brokers()
    except (SuiteTrouble, PortsTaken, RedisMissing, env.BadSetting) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
