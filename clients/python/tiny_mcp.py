"""A server of the Model Context Protocol on standard input and output, with one tool: `add`."""

import json
import sys
from typing import Any

ADD = {
    "name": "add",
    "description": "Adds two numbers",
    "inputSchema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "initialize":
            server = {"name": "tiny", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
        case "tools/list":
            return {"tools": [ADD]}
        case "tools/call":
            numbers = params["arguments"]
            return {"content": [{"type": "text", "text": f"the sum is {numbers['a'] + numbers['b']}"}]}
    return {}


if __name__ == "__main__":
    for message in map(json.loads, sys.stdin):
        # What has no id wants no answer.
        if "id" in message:
            result = answer(message["method"], message.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
