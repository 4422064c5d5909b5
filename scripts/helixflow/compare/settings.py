"""What two runs were made with: rows of the sheet, keys of the configuration, versions of programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from helixflow.compare.records import Reader, Record, digest_of, merge
from helixflow.compare.tables import flatten, measure_rows, measure_values
from helixflow.config import Settings, leaves
from helixflow.files import read_json

#: Keys that decide results without the schema's saying so of their bytes.
_DECIDING = {"embeddings/model", "embeddings/compute", "trajectories/replicas", "sequences/max_failed"}
#: Keys that are where something is on one machine, and those of the page.
_PLACES = {"samples", "gmx", "embeddings/store"}


def deciding_keys(schema: Settings) -> set[str]:
    """Return the keys of the configuration that decide results, as the schema tells."""
    return _DECIDING | {
        key for key, description in _descriptions(schema) if "decides bytes" in description.lower()
    }


def _descriptions(schema: Settings, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give each key of a schema and its description."""
    for key, below in schema.get("properties", {}).items():
        yield prefix + key, below.get("description", "")
        yield from _descriptions(below, f"{prefix}{key}/")


def decides(key: str, deciding: set[str], schema: Settings) -> bool:
    """Tell whether a key, or one above it, decides results; one that the schema lacks is thought to."""
    parts = key.split("/")
    above = {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    if above & deciding:
        return True
    section: Any = schema
    for part in parts:
        section = section.get("properties", {}).get(part)
        if section is None:
            return parts[0] != "report" and key not in _PLACES
    return False


def sheet_reader() -> Reader:
    """Read the rows of the sheet from ``run.json``; of a source that is a file, its name alone."""

    def read(path: Path) -> Iterator[Record]:
        for row in sorted(read_json(path)["samples"], key=lambda row: str(row["sample"])):
            kept = {name: value for name, value in row.items() if name != "sample"}
            kept["source"] = without_folder(str(row["source"]))
            text = json.dumps(kept)
            yield Record((str(row["sample"]),), digest_of(text), text)

    return Reader("row", read, measure_rows)


def without_folder(source: str) -> str:
    """Return a source without the folders of the files it names; what is not in a folder stays."""
    parts = source.split(",")
    return ",".join(part if re.match(r"\w+:", part) else Path(part).name for part in parts)


def config_reader(schema: Settings) -> Reader:
    """Read the keys of the configuration that decide results from ``run.json``."""
    deciding = deciding_keys(schema)

    def read(path: Path) -> Iterator[Record]:
        for key, value in sorted(leaves(read_json(path)["config"])):
            if decides(key, deciding, schema):
                known = (
                    without_folder(value) if key == "embeddings/model" and value.count("/") != 1 else value
                )
                yield Record((key,), digest_of(json.dumps(known)), known)

    return Reader("key", read, measure_values)


def versions(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of all programs that a ``run.json`` names."""
    git = run["git"]
    changed = " with changes" if git["dirty"] is True else ""
    found = {
        "helixflow": str(run["helixflow"]),
        "git commit": f"{git['commit']}{changed}",
        "python": str(run["python"]),
        "snakemake": str(run["snakemake"]),
        "GROMACS": ", ".join(run["gmx"]["versions"]),
    }
    return found | {name: str(version) for name, version in flatten(run["libraries"])}


def file_versions(results: Path) -> dict[str, str]:
    """Return what files of a run say of GROMACS and how it was called, by the folders of the files."""
    found = {}
    for path in sorted(results.glob("structures/*/setup.json")):
        content, place = read_json(path), path.parent.relative_to(results).as_posix()
        found[f"GROMACS of {place}"] = str(content.get("gmx_version", "none"))
        found[f"commands of {place}"] = "; ".join(content.get("commands", []))
    for path in sorted(results.glob("trajectories/**/quality.json")):
        content, place = read_json(path), path.parent.relative_to(results).as_posix()
        told = content.get("metadata", {})
        found[f"GROMACS of {place}"] = (
            f"{told.get('program', '')} {told.get('version', '')}".strip() or "none"
        )
    return found


def differing_values(reader: Reader, a: Path, b: Path) -> list[dict[str, Any]]:
    """Return key and values of the records of two ``run.json`` files that differ, None where one has none."""
    found = []
    for left, right in merge(reader.read(a), reader.read(b)):
        if left is None or right is None or left.digest != right.digest:
            values = [one.value if one else None for one in (left, right)]
            keys = [str(one.key[0]) for one in (left, right) if one]
            found.append({"key": keys[0], "a": values[0], "b": values[1]})
    return found


def idle_keys(a: Settings, b: Settings, schema: Settings) -> list[dict[str, Any]]:
    """Return the keys that differ although they decide no results, but for places and the page's."""
    deciding = deciding_keys(schema)
    left, right = (dict(leaves(run["config"])) for run in (a, b))
    return [
        {"key": key, "a": left.get(key), "b": right.get(key)}
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
        and not decides(key, deciding, schema)
        and key not in _PLACES
        and not key.startswith("report/")
    ]
