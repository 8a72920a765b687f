"""Claude Code as it comes from the registry, offline, with a home and a folder of its own, printing one answer."""

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
PROGRAM = CLIENTS / "node_modules/.bin/claude"
# In its own network nothing else listens.
PORT = 8080
TIMEOUT_S = 60
TOOLS = "Write,Read,Bash"
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}


@dataclass
class Ended:
    code: int
    errors: str
    # What it prints as JSON; empty if it printed nothing.
    printed: dict[str, Any]

    @property
    def text(self) -> str:
        return self.printed.get("result", "")


class ClaudeCode:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder / "work"
        self.home.mkdir()
        self.folder.mkdir()

    def run(self, place: Place, prompt: str) -> Ended:
        return self.start(place, prompt).wait()

    def start(self, place: Place, prompt: str) -> "Run":
        command = [str(PROGRAM), "--print", "--output-format", "json", "--allowedTools", TOOLS, "--", prompt]
        return Run(_offline(command, self.folder, self._environment(place)), place)

    def run_line(self, line: str, place: Place) -> subprocess.CompletedProcess:
        """Runs a line for a shell, in which the gateway's address and key stand, where nothing else is set."""
        line = line.replace("http://127.0.0.1:7676", f"http://127.0.0.1:{PORT}").replace("tg_…", place.key)
        environment = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(self.home)} | QUIET
        process, listener = _offline(["/bin/sh", "-c", line], self.folder, environment)
        relay = Relay(listener, place.address)
        try:
            output, errors = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
            relay.close()
        return subprocess.CompletedProcess(line, process.returncode, output, errors)

    def _environment(self, place: Place) -> dict[str, str]:
        """Nothing of the environment here but where programs are."""
        settings = {
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{PORT}",
            "ANTHROPIC_AUTH_TOKEN": place.key,
            "ANTHROPIC_MODEL": place.model,
        }
        return {"PATH": os.environ["PATH"], "HOME": str(self.home)} | QUIET | settings


def _offline(command: list[str], folder: Path, environment: dict[str, str]):
    """Starts a command that reaches nothing but what connects to the listener that comes with it."""
    here, there = socket.socketpair()
    # Who is not root gets a namespace of users as well, in which it is.
    namespaces = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    inside = [sys.executable, str(CLIENTS / "python/offline.py"), str(there.fileno()), str(PORT)]
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

    def __init__(self, started: tuple[subprocess.Popen, socket.socket], place: Place) -> None:
        self.process, listener = started
        self.relay = Relay(listener, place.address)

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def wait(self) -> Ended:
        try:
            output, errors = self.process.communicate(timeout=TIMEOUT_S)
        finally:
            self.process.kill()
            self.relay.close()
        return Ended(self.process.returncode, errors, json.loads(output) if output.strip() else {})
