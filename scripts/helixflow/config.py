"""The configuration: filled with the schema's defaults, coerced to its types, and checked.

``config/schema.yaml`` is the one place that knows the keys, their types, defaults and meaning.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from helixflow.errors import ConfigError

Settings = dict[str, Any]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def read_schema(path: str | os.PathLike[str]) -> Settings:
    """Read the JSON schema of the configuration from YAML."""
    schema: Settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return schema


def complete_config(config: Settings, schema: Settings) -> Settings:
    """Check a configuration and give it whole, every key of the schema present.

    Parameters
    ----------
    config : dict
        What the user set, as Snakemake merged it from files and command line.
    schema : dict
        A JSON schema of objects, scalars and lists of scalars, closed at every level but where parameters of
        another program are set. ``presets`` of an object gives values by name to the keys that are left out.

    Returns
    -------
    dict
        New dictionary; `config` is not changed.

    Raises
    ------
    ConfigError
        With one line for the first key that is unknown, of a wrong type or out of range.
    """
    complete: Settings = _complete(config, schema)
    errors = sorted(Draft202012Validator(schema).iter_errors(complete), key=lambda error: list(error.path))
    if errors:
        raise ConfigError(_explain(errors[0], schema))
    for key, value in leaves(complete):
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(f"config: '{key}' is {number}, expected a finite number")
    return complete


def leaves(config: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value of a nested configuration with its key as ``section/key``."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def _complete(value: Any, schema: Settings) -> Any:
    """Add missing defaults, and turn strings of the command line into the schema's type."""
    if schema["type"] != "object":
        return _coerce(value, schema)
    value = {} if value is None else value
    if not isinstance(value, dict):
        return value
    complete = dict(value)
    preset = _preset(value, schema)
    for key, below in schema.get("properties", {}).items():
        if key in value:
            complete[key] = _complete(value[key], below)
        elif key in preset:
            complete[key] = _coerce(preset[key], below)
        elif below["type"] == "object":
            complete[key] = _complete({}, below)
        elif "default" in below:
            complete[key] = _coerce(below["default"], below)
    free = schema.get("additionalProperties")
    return _coerce_free(complete, free) if isinstance(free, dict) else complete


def _preset(value: Settings, schema: Settings) -> Settings:
    """Return the values of the preset that a section names, for the keys that it does not set itself."""
    if "presets" not in schema:
        return {}
    name = value.get("preset", schema["properties"]["preset"]["default"])
    values: Settings = schema["presets"].get(name, {}) if isinstance(name, str) else {}
    return values


def _coerce(value: Any, schema: Settings) -> Any:
    """Give a number one form, however it is written: 2, 2.0, or "2.0" as --config gives nested values.

    What is given to jobs is compared by its text, so another form of the same number would repeat them.
    """
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if isinstance(value, list) and "array" in kinds:
        return [_coerce(item, schema["items"]) for item in value]
    if {"integer", "number"}.isdisjoint(kinds):
        return value
    if isinstance(value, str) and "string" not in kinds:
        value = _number(value)
    return _whole(value)


def _coerce_free(values: Settings, schema: Settings) -> Settings:
    """Do so with parameters of another program, whose values may be text as well: of it, plain numbers."""
    read = {
        key: _number(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
        for key, value in values.items()
    }
    return {key: _coerce(value, schema) for key, value in read.items()}


def _number(text: str) -> Any:
    """Read a number; a text that is none stays what it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _whole(value: Any) -> Any:
    """Turn 2.0 into 2, as far as floats tell whole numbers apart."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _explain(error: ValidationError, schema: Settings) -> str:
    """Say in one line which key is wrong, what was expected and what was found."""
    where = "/".join(str(part) for part in error.path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(str(key) for key in error.instance if key not in known)
        key = f"{where}/{unknown}" if where else unknown
        return f"config: unknown key '{key}'{_nearest(unknown, known, where, schema)}"
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"config: key '{missing}' is missing; {error.schema['properties'][missing]['description']}"
    return f"config: '{where}' is {error.instance!r}, expected {_expected(error)}"


def _nearest(unknown: str, known: list[str], where: str, schema: Settings) -> str:
    """Name the key that was probably meant: the nearest here, or the same one elsewhere."""
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{where + '/' if where else ''}{near[0]}'?"
    paths = [
        f"{section}/{key}"
        for section, below in schema["properties"].items()
        for key in below.get("properties", {})
    ]
    elsewhere = [path for path in paths if path.split("/")[1] == unknown]
    if elsewhere:
        return f"; did you mean '{elsewhere[0]}'?"
    return f"; expected one of {', '.join(known)}"


def _expected(error: ValidationError) -> str:
    """Tell what the schema asks for in words."""
    words = {
        "type": "a value of type {}",
        "enum": "one of {}",
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "minItems": "at least {} entry",
        "uniqueItems": "entries that differ",
        "minLength": "a text of at least {} character",
        "pattern": "a text that matches {}",
    }
    wanted = error.validator_value
    if isinstance(wanted, list) and error.validator == "type":
        wanted = " or ".join(wanted)
    listed = ", ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)
    return words.get(str(error.validator), f"{error.validator} {{}}").format(listed)
