"""Running the workflow as a user does, on the bundled data with small settings."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "config" / "demo"

#: Shorter than the demo: what is tested here is the flow, not the physics.
SMALL = """
samples: samples.tsv
embeddings:
  {model: results/embeddings/closed_form_model, threads: 1, shards: 2, part_seconds: 0.5, compute: float32}
structures: {box_distance_nm: 0.7}
trajectories:
  {replicas: 2, threads: 1, minimise_steps: 2000, nvt_ps: 1, npt_ps: 1, production_ns: 0.002, frame_ps: 0.2}
"""


def command(folder: Path, *arguments: str) -> list[str | Path]:
    """The command line that runs the workflow in a folder with the config that lies there."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder),
        *("--configfile", folder / "config.yaml", "--workflow-profile", ROOT / "profiles/local"),
        *arguments,
    ]


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow to its end, which must be a good one."""
    done = subprocess.run(command(folder, *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the workflow in a process group of its own."""
    with (folder / "snakemake.log").open("ab") as log:
        return subprocess.Popen(command(folder), stdout=log, stderr=log, start_new_session=True)


def write_inputs(folder: Path) -> None:
    """Write the sheet of the bundled data and the small settings into a folder."""
    sheet = (DEMO / "samples.tsv").read_text()
    for source in DEMO.iterdir():
        sheet = sheet.replace(f"\t{source.name}\t", f"\t{source}\t")
    (folder / "samples.tsv").write_text(sheet)
    (folder / "config.yaml").write_text(SMALL)
