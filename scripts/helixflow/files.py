"""Files that are whole or not there: temporary names, renames and digests, JSON and tab-separated text."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


@contextmanager
def whole_file(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `final` that takes its name when the block succeeds.

    When the block raises, the temporary file is removed and what was under `final` before stays.
    The temporary name keeps the suffix, since many writers choose their format by it.

    Parameters
    ----------
    final : path
        Name the file gets when it is whole; missing parent folders are made.

    Yields
    ------
    Path
        Where to write.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    # Runs on several machines may write into one store, and a process id is of one machine.
    temporary = final.with_name(f".{secrets.token_hex(6)}.{final.name}")
    try:
        yield temporary
        _to_disk(temporary)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `final` that takes its place when the block succeeds.

    When the block raises, the temporary folder is removed and what was under `final` before stays.
    """
    final = Path(final)
    temporary = final.with_name(f".{secrets.token_hex(6)}.{final.name}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _to_disk(path)
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cache_folder() -> Path:
    """Return the folder of what can be made again, in XDG_CACHE_HOME or below the home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "helixflow")


def remove_leftovers(final: str | os.PathLike[str]) -> None:
    """Remove what writers of a file left that were killed; none may be at it now."""
    final = Path(final)
    for path in final.parent.glob(f".*.{glob.escape(final.name)}"):
        if re.fullmatch(r"\.[0-9a-f]{12}\." + re.escape(final.name), path.name):
            path.unlink(missing_ok=True)


def remove_all_leftovers(folder: str | os.PathLike[str], apart: str | os.PathLike[str]) -> None:
    """Remove what writers that were killed left below a folder, but for what is in another one.

    Nobody may write there now; `apart` is the folder where others may.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name).absolute() != Path(apart).absolute()]
        for name in filter(_is_leftover, names):
            Path(place, name).unlink(missing_ok=True)
        for name in filter(_is_leftover, folders):
            shutil.rmtree(Path(place, name), ignore_errors=True)


def _is_leftover(name: str) -> bool:
    """Tell whether this is the temporary name of a file or folder."""
    return bool(re.fullmatch(r"\.[0-9a-f]{12}\..+", name))


def _to_disk(path: Path) -> None:
    """Have a file's bytes on disk before its name says that it is whole, also when the machine then fails."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def copy_whole(source: str | os.PathLike[str], final: str | os.PathLike[str]) -> None:
    """Copy a file so that `final` is never half written."""
    with whole_file(final) as path:
        shutil.copyfile(source, path)


def write_text(final: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(final) as path:
        path.write_text(text, encoding="utf-8")


def write_json(final: str | os.PathLike[str], content: Any) -> None:
    """Write JSON with keys in the order given, whole or not at all."""
    write_text(final, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_tsv(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read a tab-separated table with a header line that a stage wrote."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def file_digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's bytes."""
    return file_digests(path, {algorithm})[algorithm]


def file_digests(path: str | os.PathLike[str], algorithms: Set[str]) -> dict[str, str]:
    """Return several hexadecimal digests of a file's bytes, which are read once."""
    hashes = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    with Path(path).open("rb") as stream:
        while block := stream.read(_BLOCK):
            for each in hashes.values():
                each.update(block)
    return {algorithm: each.hexdigest() for algorithm, each in hashes.items()}
