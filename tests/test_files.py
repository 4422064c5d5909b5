"""Files are whole or not there, and a job's output goes where it belongs."""

import subprocess
import sys

import pytest

from helixflow.files import (
    file_digest,
    read_json,
    remove_all_leftovers,
    remove_leftovers,
    whole_file,
    whole_folder,
    write_json,
)
from workflow import ROOT


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    final = tmp_path / "new" / "x.txt"
    with whole_file(final) as path:
        path.write_text("whole")
        assert not final.exists() and path.parent == final.parent and path.suffix == ".txt"
    assert final.read_text() == "whole"
    assert list(final.parent.iterdir()) == [final]


def test_a_failure_leaves_what_was_there_before(tmp_path):
    final = tmp_path / "x.txt"
    final.write_text("before")
    with pytest.raises(ZeroDivisionError), whole_file(final) as path:
        path.write_text("half")
        raise ZeroDivisionError
    assert final.read_text() == "before"
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_takes_the_place_of_another_when_it_is_whole(tmp_path):
    final = tmp_path / "new" / "figures"
    for name in ("one", "two"):
        with whole_folder(final) as folder:
            (folder / "below").mkdir()
            (folder / "below" / name).write_text("whole")
    assert [path.name for path in final.rglob("*")] == ["below", "two"]
    with pytest.raises(ZeroDivisionError), whole_folder(final) as folder:
        (folder / "three").write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in final.rglob("*")] == ["below", "two"]
    assert list(final.parent.iterdir()) == [final]


def test_a_folder_that_a_killed_job_left_goes(tmp_path):
    left = tmp_path / "results/report/.0123456789ab.figures/overview"
    left.mkdir(parents=True)
    (left / "x.svg").write_text("half")
    remove_all_leftovers(tmp_path / "results", tmp_path / "results/store")
    assert list((tmp_path / "results/report").iterdir()) == []


def test_what_killed_jobs_left_goes_but_not_from_a_store_that_others_use(tmp_path):
    kept = ["results/a/x.h5", "results/a/.hidden", "results/store/k/.0123456789ab.x.h5", ".0123456789ab.y"]
    gone = ["results/a/.0123456789ab.x.h5", "results/.0123456789ab.z.parquet"]
    for name in (*kept, *gone):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    remove_all_leftovers(tmp_path / "results", tmp_path / "results/store")
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(kept)


def test_no_room_is_told_in_one_line(tmp_path):
    code = f"""
import errno, os, sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
from helixflow.joblog import log_to
log_to({str(tmp_path / "job.log")!r})
raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/x.h5")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("LimitError: [Errno 28] No space left on device: 'results/x.h5'")


def test_writers_of_one_name_do_not_meet(tmp_path):
    """Two runs that share a store may write the same part at the same time."""
    final = tmp_path / "x"
    with whole_file(final) as first, whole_file(final) as second:
        assert first != second
        first.write_text("same")
        second.write_text("same")
    assert final.read_text() == "same"


def test_json_keeps_order_and_letters(tmp_path):
    content = {"b": 1, "a": ["Å", None, 0.5]}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
     ("md5", "900150983cd24fb0d6963f7d28e17f72")],
)  # fmt: skip
def test_digests_are_the_published_ones_of_abc(tmp_path, algorithm, digest):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x", algorithm) == digest


@pytest.mark.parametrize("kind", ["SourceError", "ValueError"])
def test_a_job_logs_everything_and_tells_the_user_one_line(tmp_path, kind):
    """Output of child programs is in the log; only an error the user can mend reaches the terminal, once."""
    program = f"""
import subprocess
from helixflow.joblog import log_to
log_to({str(tmp_path / "job.log")!r})
from helixflow.errors import SourceError
print("from Python")
subprocess.run(["echo", "from a program"])
raise {kind}("x.fna line 3: the reason")
"""
    python = [sys.executable, "-c", program]
    done = subprocess.run(python, capture_output=True, text=True, check=False, cwd=ROOT / "scripts")
    log = (tmp_path / "job.log").read_text()
    assert done.returncode == 1
    assert "from Python" in log and "from a program" in log and "the reason" in log
    if kind == "SourceError":
        assert done.stderr == "SourceError: x.fna line 3: the reason\n"
        assert "Traceback" not in log
    else:
        assert done.stderr == "" and "Traceback" in log


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    final = tmp_path / "a.fasta.gz"
    kept = [final, tmp_path / ".hidden.a.fasta.gz", tmp_path / ".0123456789ab.b.fasta.gz"]
    for path in [*kept, tmp_path / ".0123456789ab.a.fasta.gz"]:
        path.touch()
    remove_leftovers(final)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
