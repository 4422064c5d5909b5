#!/usr/bin/env bash
# Fetches 3Dmol.js, which draws the 3-D views of the report: envs/viewer.sh [FOLDER]
#
# Rego N, Koes D. 3Dmol.js: molecular visualization with WebGL. Bioinformatics 2015, doi:10.1093/bioinformatics/btu829; BSD-3-Clause.
# The page has it within itself, so it must be there when the page is made, and nowhere else. FOLDER is share/helixflow of
# the Python that makes the page, .venv's where none is named. Without npm or network the page goes without 3-D views.
set -euo pipefail
cd "$(dirname "$0")/.."

package=3dmol@2.5.5
sha256=f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016
folder=${1:-.venv/share/helixflow}
file=$folder/3Dmol-min.js
licence=$folder/3Dmol-LICENSE.txt

is_right() { [[ -f $1 ]] && echo "$sha256  $1" | sha256sum --check --status; }
without() {
    echo "$package $1: the report will have no 3-D views (envs/viewer.sh $folder fetches it)"
    exit 0
}

if is_right "$file" && [[ -s $licence ]]; then exit 0; fi
command -v npm >/dev/null || without "needs npm, which is not here"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd "$scratch" && npm pack --silent --fetch-retries=1 --fetch-timeout=60000 "$package" && tar -xzf 3dmol-*.tgz) >"$scratch/log" 2>&1 ||
    without "could not be fetched ($(tail -n 1 "$scratch/log"))"
is_right "$scratch/package/build/3Dmol-min.js" || without "is not the file that was expected (sha256)"
mkdir -p "$folder"
# What the licence asks for goes with the code.
cp "$scratch/package/LICENSE" "$licence"
cp "$scratch/package/build/3Dmol-min.js" "$file.part"
mv "$file.part" "$file"
