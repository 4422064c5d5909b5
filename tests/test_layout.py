"""The house: one noun per stage in every room, thin shims, cheap imports, complete environments."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

STAGES = [
    "sequences",
    "buckets",
    "structures",
    "proteins",
    "embeddings",
    "trajectories",
    "links",
    "coanalysis",
    "report",
]
#: Rules that do nothing but ask for others.
TARGETS = {*STAGES, "compare"}
#: What is slow to import or may be absent.
HEAVY = [
    "torch",
    "transformers",
    "gromacs",
    "MDAnalysis",
    "mpi4py",
    "matplotlib",
    "pyarrow",
    "pandas",
    "openmm",
]
PACKAGE = ROOT / "scripts" / "helixflow"
SHIMS = sorted((ROOT / "scripts").glob("*.py"))
RULE_FILES = [ROOT / "rules" / f"{stage}.smk" for stage in STAGES]

#: What a module is called where it is installed from.
CONDA_NAMES = {
    "Bio": "biopython",
    "backports": "backports.zstd",
    "MDAnalysis": "mdanalysis",
    "PeptideBuilder": "peptidebuilder",
    "gromacs": "gromacswrapper",
    "torch": "pytorch",
    "yaml": "pyyaml",
}
PYPI_NAMES = {"pytorch": "torch"}


def rules_of(path: Path) -> dict[str, str]:
    """Name and text of every rule of a rule file."""
    parts = re.split(r"^rule (\w+):$", path.read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("stage", STAGES)
def test_the_noun_names_every_room(stage):
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())
    assert (ROOT / "rules" / f"{stage}.smk").is_file()
    assert (PACKAGE / f"{stage}.py").is_file() != (PACKAGE / stage / "__init__.py").is_file()
    assert (ROOT / "tests" / f"test_{stage}.py").is_file()
    assert (ROOT / "envs" / f"{stage}.yaml").is_file()
    assert stage in schema["properties"]
    assert stage in rules_of(ROOT / "rules" / f"{stage}.smk"), "the noun is a target rule"


def test_nothing_else_has_a_room():
    """Every rule file is a stage, in the order the data flow, and every shim belongs to a rule."""
    assert {path.stem for path in (ROOT / "rules").iterdir()} == {*STAGES, "common"}
    included = re.findall(r'include: "rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text())
    assert included == ["common", *STAGES]
    rules = {name for path in RULE_FILES for name in rules_of(path)}
    assert {path.stem for path in SHIMS} == rules - TARGETS


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_rules_are_plain(path):
    text = path.read_text()
    assert text.startswith('"""') and "\nReads " in text and "\nWrites " in text
    assert not re.search(r"^\s+run:|\blambda\b|os\.path|^\s+(if|for) ", text, re.M)
    for name, rule in rules_of(path).items():
        assert rule.lstrip().startswith('"""'), name
        if name not in TARGETS:
            assert f'"logs/{name}' in rule, name
            assert f'"benchmarks/{name}' in rule or "    output:" not in rule, name
            assert f'conda:\n        "../envs/{path.stem}.yaml"' in rule, name
            assert f"scripts/{name}.py" in rule, name


@pytest.mark.parametrize("path", SHIMS, ids=lambda path: path.stem)
def test_shims_are_thin(path):
    tree = ast.parse(path.read_text())
    if "argparse" in path.read_text():
        return  # What an MPI launcher starts has a command line in place of `snakemake`.
    assert len(path.read_text().splitlines()) <= 20
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.While)
    ]


def test_the_package_knows_nothing_of_snakemake():
    for path in PACKAGE.rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "snakemake" not in names, path.name


def test_imports_are_cheap():
    """Every module can be imported without what is slow or may be absent."""
    modules = [
        "helixflow." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE or path.stem != "__init__"
    ]
    code = f"import sys, {', '.join(modules)}\nprint(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "scripts"
    )
    assert done.stdout.split() == []


def test_the_snakefile_loads_nothing_heavy():
    """Every job starts with it, and conda's workflow environment has Snakemake alone."""
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").iterdir()])
    modules = set(re.findall(r"^from (helixflow[\w.]*) import", text, re.M))
    assert len(modules) > 5
    heavy = [*HEAVY, "numpy", "h5py", "numba"]
    code = f"import sys, {', '.join(sorted(modules))}\nprint(*(set({heavy}) & set(sys.modules)))"
    python = [sys.executable, "-c", code]
    done = subprocess.run(python, capture_output=True, text=True, check=True, cwd=ROOT / "scripts")
    assert done.stdout.split() == []


def walk_at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those behind ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from walk_at_run_time(node)


def imports(files: list[Path], deep: bool) -> set[str]:
    """Packages outside the standard library that files import, through helixflow's modules too."""
    found: set[str] = set()
    seen: set[Path] = set()
    while files:
        path = files.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in walk_at_run_time(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for module in modules:
                top = module.split(".")[0]
                if top == "helixflow" and deep:
                    here = ROOT / "scripts" / Path(*module.split("."))
                    files += [p for p in (here.with_suffix(".py"), here / "__init__.py") if p.is_file()]
                elif top not in sys.stdlib_module_names and top != "helixflow":
                    found.add(top)
    return found


def packages(name: str) -> dict[str, str]:
    """Packages of an environment file and their pins, empty where there is none."""
    listed = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"]
    return {entry.split("=")[0].rstrip("<>"): entry.partition("=")[2] for entry in listed}


@pytest.mark.parametrize("stage", STAGES)
def test_environments_list_every_import_of_their_rules(stage):
    """The controller's packages leak into a job's Python, so a missing one shows only at the user's."""
    rules = set(rules_of(ROOT / "rules" / f"{stage}.smk")) - {stage}
    wanted = {
        CONDA_NAMES.get(name, name) for name in imports([p for p in SHIMS if p.stem in rules], deep=True)
    }
    assert wanted <= set(packages(stage))


def test_pins_are_those_of_the_lock():
    lines = (ROOT / "envs" / "requirements.lock").read_text().splitlines()
    lock = {name.lower(): version for name, version in (line.split("==") for line in lines if "==" in line)}
    for path in (ROOT / "envs").glob("*.yaml"):
        for name, version in packages(path.stem).items():
            if name not in {"python", "gromacs", "openmpi", "mmseqs2"}:
                assert lock[PYPI_NAMES.get(name, name)] == version, f"{path.name}: {name}"
    assert not [line for line in lines if "://" in line or line.startswith("-")], "the lock names no index"


def test_every_dependency_is_locked():
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'^    "([A-Za-z0-9.]+)', text.split("dependencies = [")[1].split("]")[0], re.M)
    lock = (ROOT / "envs" / "requirements.lock").read_text().lower()
    assert len(named) > 10
    assert [name for name in named if f"\n{name.lower()}==" not in lock] == []
