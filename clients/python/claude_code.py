"""Claude Code as it comes from the registry, in a sandbox, printing what it does and its answer as JSON."""

from places import Place
from sandbox import CLIENTS, Ended, Run, Sandbox

PROGRAM = CLIENTS / "node_modules/.bin/claude"
TOOLS = "Write,Read,Bash,Agent,ToolSearch"
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}


class ClaudeCode(Sandbox):
    def ask(self, place: Place, prompt: str, *arguments: str, **environment: str) -> Ended:
        return self.begin(place, prompt, *arguments, **environment).wait()

    def begin(self, place: Place, prompt: str, *arguments: str, **environment: str) -> Run:
        """Starts a run with more arguments and variables than are usual here; of two that differ these count."""
        usual = ["--print", "--verbose", "--output-format", "stream-json", "--allowedTools", TOOLS]
        settings = {
            "ANTHROPIC_BASE_URL": place.url,
            "ANTHROPIC_AUTH_TOKEN": place.key,
            "ANTHROPIC_MODEL": place.model,
        }
        command = [str(PROGRAM), *usual, *arguments, "--", prompt]
        return self.start(command, place, QUIET | settings | environment)


def text_of(ended: Ended) -> str:
    """The answer that it printed, if any."""
    return ended.printed.get("result", "")
