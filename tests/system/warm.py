"""Runs daemons one after the other from a process that has imported everything once.

Each line on standard input is a JSON object of environment variables; a daemon is forked with them
and runs `dispensed run`. Written back: its process id, and its wait status when it has ended. A
forked daemon is a process of its own like any other; only the imports (two seconds) are saved.
"""

import json
import os
import sys
from typing import NoReturn

import dispensed.daemon
import drivers.packml.driver
import drivers.wwks2.driver
import drivers.zpl.driver
from dispensed.cli.main import cli

WARM = (dispensed.daemon, drivers.packml.driver, drivers.wwks2.driver, drivers.zpl.driver)


def serve() -> None:
    """Run a daemon for each line until the input ends."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_daemon(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _become_daemon(environment: dict[str, str]) -> NoReturn:
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    cli(["run"])  # ends the process
    raise SystemExit(1)


if __name__ == "__main__":
    serve()
