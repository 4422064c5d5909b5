"""What the databases answer, in the shape their answers really have."""

import json

#: The default addresses of the configuration.
URLS = {
    "ncbi": "https://eutils.ncbi.nlm.nih.gov/entrez/eutils",
    "ncbi_genomes": "https://ftp.ncbi.nlm.nih.gov/genomes/all",
    "ena": "https://www.ebi.ac.uk/ena/portal/api",
    "ena_files": "https://ftp.sra.ebi.ac.uk",
    "uniprot": "https://rest.uniprot.org",
    "pdb": "https://files.rcsb.org",
    "alphafold": "https://alphafold.ebi.ac.uk/api",
}


def esummary(version: str, length: int, uid: str = "9629357") -> str:
    """E-utilities' answer on one nucleotide entry."""
    entry = {
        "uid": uid,
        "term": uid,
        "caption": version.split(".")[0],
        "title": "Human immunodeficiency virus 1, complete genome",
        "extra": f"gi|{uid}|ref|{version}|",
        "gi": int(uid),
        "createdate": "1999/05/05",
        "taxid": 11676,
        "slen": length,
        "biomol": "genomic",
        "moltype": "rna",
        "topology": "linear",
        "sourcedb": "refseq",
        "status": "live",
        "accessionversion": version,
    }
    header = {"type": "esummary", "version": "0.3"}
    return json.dumps({"header": header, "result": {"uids": [uid], uid: entry}})


#: E-utilities' answer where there is no such entry.
NO_ENTRY = json.dumps(
    {
        "header": {"type": "esummary", "version": "0.3"},
        "error": "Invalid uid NC_999999999 at position=0",
        "result": {"uids": []},
    }
)


def listing(*folders: str) -> str:
    """The page of a folder of NCBI's genomes site."""
    rows = [f'<a href="{name}/">{name}/</a>{" " * 20}2023-06-15 02:24    -   ' for name in folders]
    return "\n".join(
        [
            '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">',
            "<html><head><title>Index of /genomes/all/GCF/000/005/845</title></head>",
            "<body><h1>Index of /genomes/all/GCF/000/005/845</h1>",
            "<pre>Name                    Last modified      Size  <hr>",
            '<a href="/genomes/all/GCF/000/005/">Parent Directory</a>                             -   ',
            *rows,
            "<hr></pre></body></html>",
        ]
    )


def md5checksums(sums: dict[str, str]) -> str:
    """The md5checksums.txt of an assembly."""
    return "".join(f"{digest}  ./{name}\n" for name, digest in sums.items())


def filereport(run: str, files: dict[str, tuple[int, str]], folder: str = "vol1/fastq/SRR788/001") -> str:
    """ENA's file report on a run, of files by name with their bytes and md5."""
    places = ";".join(f"ftp.sra.ebi.ac.uk/{folder}/{run}/{name}" for name in files)
    sizes = ";".join(str(size) for size, _ in files.values())
    sums = ";".join(digest for _, digest in files.values())
    return f"run_accession\tfastq_ftp\tfastq_bytes\tfastq_md5\n{run}\t{places}\t{sizes}\t{sums}\n"


def prediction(accession: str, version: int, files: str, name: str | None = None) -> dict:
    """One entry of AlphaFold DB's answer."""
    name = name or f"AF-{accession}-F1"
    return {
        "toolUsed": "AlphaFold Monomer v2.0 pipeline",
        "providerId": "GDM",
        "entityType": "protein",
        "isUniProt": True,
        "modelEntityId": name,
        "entryId": name,
        "uniprotAccession": accession,
        "globalMetricValue": 81.62,
        "latestVersion": version,
        "allVersions": list(range(1, version + 1)),
        "bcifUrl": f"{files}/{name}-model_v{version}.bcif",
        "cifUrl": f"{files}/{name}-model_v{version}.cif",
        "pdbUrl": f"{files}/{name}-model_v{version}.pdb",
        "paeDocUrl": f"{files}/{name}-predicted_aligned_error_v{version}.json",
    }
