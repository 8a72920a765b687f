"""Programs that run offline, with a home and a folder of their own, and reach one address: that of the place they are pointed at."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from places import Place
from relay import Relay

CLIENTS = Path(__file__).resolve().parent.parent
TIMEOUT_S = 60
PROGRAMS = [CLIENTS / ".venv/bin", CLIENTS / "node_modules/.bin"]


@dataclass
class Ended:
    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it prints, if that is JSON on each line."""
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def printed(self) -> dict[str, Any]:
        """The last of these lines; empty if it printed nothing."""
        return self.lines[-1] if self.output.strip() else {}


class Sandbox:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder / "work"
        self.home.mkdir()
        self.folder.mkdir()
        # Where programs for Node look for what is installed.
        (self.folder / "node_modules").symlink_to(CLIENTS / "node_modules")

    def start(self, command: list[str], place: Place, environment: dict[str, str]) -> "Run":
        """Nothing of the environment here is left but where programs are."""
        path = ":".join([*map(str, PROGRAMS), os.environ["PATH"]])
        environment = {"PATH": path, "HOME": str(self.home)} | environment
        process, listener = _offline(command, self.folder, environment, place.address[1])
        return Run(process, Relay(listener, place.address))

    def run_line(self, line: str, place: Place, environment: dict[str, str]) -> Ended:
        """Runs a line as a shell does."""
        return self.start(["/bin/sh", "-c", line], place, environment).wait()


def _offline(command: list[str], folder: Path, environment: dict[str, str], port: int):
    """Starts a command that reaches nothing but what connects to the listener that comes with it, on this port."""
    here, there = socket.socketpair()
    # Who is not root gets a namespace of users as well, in which it is.
    namespaces = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    inside = [sys.executable, str(CLIENTS / "python/offline.py"), str(there.fileno()), str(port)]
    with here:
        process = subprocess.Popen(
            ["unshare", *namespaces, *inside, *command],
            cwd=folder,
            env=environment,
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        there.close()
        _, descriptors, *_ = socket.recv_fds(here, 64, 1)
    if not descriptors:
        raise RuntimeError(f"no network of its own could be made: {process.communicate()[1]}")
    return process, socket.socket(fileno=descriptors[0])


class Run:
    """One that is under way."""

    def __init__(self, process: subprocess.Popen, relay: Relay) -> None:
        self.process = process
        self.relay = relay

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def wait(self) -> Ended:
        try:
            output, errors = self.process.communicate(timeout=TIMEOUT_S)
        finally:
            self.process.kill()
            self.relay.close()
        return Ended(self.process.returncode, output, errors)
