#!/usr/bin/env bash
# Puts everything on this machine that the workflow needs: GROMACS, Open MPI and, for root, MMseqs2 and Chromium from the
# distribution, and .venv with the versions of requirements.lock. What is there already is left alone.
#
# GMX names another gmx than the one on PATH (see gmx in config/schema.yaml).
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
have() { command -v "$1" >/dev/null 2>&1; }
have "${GMX:-gmx}" || packages+=(gromacs)
have mpirun || packages+=(openmpi-bin)
# Of use only with proteins/cluster_identity, so nothing to ask an administrator for.
have mmseqs || ! have apt-get || ((EUID)) || packages+=(mmseqs2)
# Only the tests of the report open it.
have chromium || ! have apt-get || ((EUID)) || packages+=(chromium)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

if ((${#packages[@]})); then
    if ((EUID == 0)); then
        as_root=(env)
    elif have sudo && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
        as_root=(sudo env)
    else
        as_root=()
    fi
    if ! have apt-get || ((${#as_root[@]} == 0)); then
        cat >&2 <<EOF
Missing on this machine: ${packages[*]} (as Debian names them). Two ways to get them:
  1. your distribution's packages: an administrator runs 'apt-get install ${packages[*]}', or what your system has in its place;
  2. conda, without root: 'conda env create -f envs/workflow.yaml', 'conda activate helixflow', then Snakemake with
     '--sdm conda' (see README.md), which takes every program from the files in envs/.
EOF
        exit 1
    fi
    echo "Installing ${packages[*]} (log: .setup.log)"
    {
        "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update
        "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
    } >.setup.log 2>&1 || {
        tail -n 20 .setup.log >&2
        exit 1
    }
fi

if ! cmp -s envs/requirements.lock .venv/requirements.lock; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "python3 is $(python3 --version), expected 3.11 or newer" >&2
        exit 1
    }
    echo "Installing the locked Python packages into .venv, some 1.5 GB"
    [[ -x .venv/bin/pip ]] || python3 -m venv --clear .venv
    # torch first and by its exact version: the index that pip is configured with decides between a CPU and a CUDA build.
    .venv/bin/pip install --quiet "$(grep '^torch==' envs/requirements.lock)"
    .venv/bin/pip install --quiet --requirement envs/requirements.lock
    cp envs/requirements.lock .venv/requirements.lock
fi

# Of the report alone, which does without where it cannot be had.
envs/viewer.sh
