"""Validates answers against OpenAI's published description of its API."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


class Description:
    def __init__(self, path: str) -> None:
        self.components = _with_null(json.loads(Path(path).read_text()))["components"]
        self.validator = cache(self._validator)

    def _validator(self, name: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": self.components})

    def validate(self, name: str, value: Any) -> None:
        faults = [f"{error.json_path}: {error.message}" for error in self.validator(name).iter_errors(value)]
        assert not faults, f"this is no {name}: {faults}\n{json.dumps(value)}"


def _with_null(value: Any) -> Any:
    """The description mixes OpenAPI 3.0's `nullable` with JSON Schema; here it becomes the latter."""
    if isinstance(value, list):
        return [_with_null(item) for item in value]
    if not isinstance(value, dict):
        return value
    schema = {name: _with_null(item) for name, item in value.items() if name != "nullable"}
    return {"anyOf": [schema, {"type": "null"}]} if value.get("nullable") is True else schema
