"""Sequences in normal form: real files as Biopython and samtools read them, and every bad source by name."""

import bz2
import gzip
import io
import lzma
import random
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pysam
import pytest
from backports import zstd
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from Bio.SeqRecord import SeqRecord
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import DEMO
from helixflow.errors import SourceError
from helixflow.fasta import read_fasta
from helixflow.sequences.formats import names
from helixflow.sequences.formats.normalise import Reading, Tally, write_sequences
from helixflow.sequences.formats.reads import write_reads
from helixflow.sequences.formats.structure import mean_plddt, write_structure

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
#: The same examples every time, so that a test fails for what was changed.
MANY = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def accept(tally: Tally) -> None:
    pass


def reading(path: Path, **changed) -> Reading:
    return Reading(
        **{"origin": str(path), "max_bytes": 10**9, "expansion": 1000.0, "advance": lambda _: None} | changed
    )


def normalise(source: Path, kind: str, folder: Path, accept=accept, **changed) -> tuple[Path, Tally]:
    out = folder / "out.fasta.gz"
    indexes = Path(f"{out}.fai"), Path(f"{out}.gzi")
    return out, write_sequences(source, kind, reading(source, **changed), out, *indexes, accept)


def reads(
    folder: Path, *sources: Path, reference: str = ""
) -> tuple[list[list[tuple[str, str, str]]], Tally]:
    outputs = [folder / f"out_{number}.fastq.gz" for number in range(len(sources))]
    tally = write_reads(sources, [reading(source) for source in sources], outputs, reference, accept)
    return [fastq_of(gzip.decompress(output.read_bytes()).decode()) for output in outputs], tally


def fastq_of(content: str) -> list[tuple[str, str, str]]:
    return list(FastqGeneralIterator(io.StringIO(content)))


def records(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as stream:
        return {record.id: str(record.seq) for record in SeqIO.parse(stream, "fasta")}


def text(folder: Path, content: str | bytes, name: str = "source") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def unpacked(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()


def assert_indexed(out: Path) -> None:
    """The indexes are, byte for byte, those that samtools makes."""
    made = Path(f"{out}.samtools.fai"), Path(f"{out}.samtools.gzi")
    pysam.faidx(str(out), "--fai-idx", str(made[0]), "--gzi-idx", str(made[1]))
    assert Path(f"{out}.fai").read_bytes() == made[0].read_bytes()
    assert Path(f"{out}.gzi").read_bytes() == made[1].read_bytes()
    for path in made:
        path.unlink()


# Real files


def test_real_genomes_are_as_biopython_reads_them(tmp_path, data):
    sources = [*sorted((data / "genomes").iterdir()), *DEMO.glob("NC_*[!a]"), DEMO / "NC_000932.gb.gz"]
    assert len(sources) > 18
    for path in sources:
        out, tally = normalise(path, "genome", tmp_path)
        content = unpacked(path)
        form = "fasta" if content.startswith(">") else "genbank"
        expected = list(SeqIO.parse(io.StringIO(content), form))
        assert records(out) == {record.id: str(record.seq).upper() for record in expected}, path.name
        assert (tally.format, tally.first, tally.records) == (form, expected[0].id, len(expected))
        assert tally.residues == sum(map(len, expected))
        assert_indexed(out)


#: Of the files of proteins: those that are none, and how that is told.
NO_PROTEINS = {
    "ss3_train400.mask.fasta": "line 2: record '5idb-A' has '1' at position 1",
    "ss3_val100.mask.fasta": "line 2: record '1iap-A' has '0' at position 1",
    "tm_beta.3line.fasta": "line 3: record '1a0s_P|P22340|SCRY_SALTM' has '1' at position 598",
}


def test_real_proteins_are_as_biopython_reads_them(tmp_path, data):
    """Labels of secondary structure, .ss3, are letters of amino acids too: nobody can tell them."""
    sources = sorted((data / "proteins").iterdir())
    assert {path.name for path in sources} > set(NO_PROTEINS)
    for path in sources:
        if path.name in NO_PROTEINS:
            with pytest.raises(SourceError, match=re.escape(NO_PROTEINS[path.name])):
                normalise(path, "proteins", tmp_path)
            continue
        out, _ = normalise(path, "proteins", tmp_path)
        expected = {record.id: str(record.seq) for record in SeqIO.parse(path, "fasta")}
        assert records(out) == expected, path.name
        with pytest.raises(SourceError, match="for proteins set kind proteins"):
            normalise(path, "genome", tmp_path)


def test_real_reads_are_as_biopython_reads_them(tmp_path, data):
    sources = sorted((data / "reads").iterdir())
    assert len(sources) == 6
    for path in sources:
        (found,), tally = reads(tmp_path, path)
        expected = fastq_of(unpacked(path))
        assert found == [(title, letters.upper(), quality) for title, letters, quality in expected], path.name
        assert (tally.records, tally.residues) == (len(expected), sum(len(read[1]) for read in expected))


def test_real_mates_stay_side_by_side(tmp_path, data):
    sources = [data / f"reads/ecoli_1K_{mate}.fq.gz" for mate in (1, 2)]
    found, tally = reads(tmp_path, *sources)
    assert found == [fastq_of(unpacked(source)) for source in sources]
    assert tally.records == sum(map(len, found)) > 1000
    other = data / "reads/SRR7885321_2.fastq.gz"
    with pytest.raises(SourceError, match=r"ecoli_1K_1.fq.gz line 1 has read .* line 1 has read 'SRR"):
        reads(tmp_path, sources[0], other)


# What is normalised and counted


def test_letters_are_normalised_and_counted(tmp_path, caplog):
    source = text(tmp_path, ">a first\r\nacgu\r\nRYN\r\n\r\n>empty\n>b\nACGTACGTACGTA\tC GT\n")
    out, tally = normalise(source, "genome", tmp_path)
    assert records(out) == {"a": "ACGTRYN", "b": "ACGTACGTACGTACGT"}
    assert tally.normalised == {"lower case": 4, "U to T": 1, "ambiguous bases kept": 3}
    aside = tally.set_aside["no sequence"]
    assert (aside.records, aside.first, tally.records) == (1, ["empty"], 2)
    assert "record 'empty' set aside" in caplog.text


def test_no_more_than_ten_names_are_told(tmp_path, caplog):
    source = text(tmp_path, "".join(f">e{number}\n" for number in range(30)) + ">a\nAC\n")
    aside = normalise(source, "genome", tmp_path)[1].set_aside["no sequence"]
    assert (aside.records, aside.first) == (30, [f"e{number}" for number in range(10)])
    assert caplog.text.count("set aside") == 30


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("length", [1, 59, 60, 61, 2**18 - 6, 2**18 - 5, 2**18 - 4, 300_000])
def test_lines_may_end_as_on_any_system(tmp_path, end, length):
    """Also where a block of reading ends within a line end or a header."""
    letters = "ACGTTGCAAC" * (length // 10 + 1)
    source = text(tmp_path, f">a one{end}{letters[:length]}{end}>b\ttwo{end}GG{end}")
    out, tally = normalise(source, "genome", tmp_path)
    assert records(out) == {"a": letters[:length], "b": "GG"}
    assert tally.residues == length + 2
    assert_indexed(out)


def test_nothing_hides_in_a_header(tmp_path):
    """A carriage return within a header ends it, so what all readers of the result see is the same."""
    out, tally = normalise(text(tmp_path, b"\xef\xbb\xbf>a x\x0by\xff\rGGGG\nACGT\n"), "genome", tmp_path)
    assert tally.residues == 8
    with pysam.FastaFile(str(out)) as indexed:
        assert indexed.fetch("a") == "GGGGACGT" == dict(read_fasta(out))["a"]


def test_proteins_lose_their_stop(tmp_path):
    out, tally = normalise(text(tmp_path, ">p\nMKLV*\n>q\nmkl\nw*\n\n>r\nMK"), "proteins", tmp_path)
    assert records(out) == {"p": "MKLV", "q": "MKLW", "r": "MK"}
    assert tally.normalised == {"terminal * stripped": 2, "lower case": 4}


def test_same_source_same_bytes(tmp_path):
    before = normalise(DEMO / "NC_001802.fna", "genome", tmp_path)[0].read_bytes()
    assert before == normalise(DEMO / "NC_001802.fna", "genome", tmp_path)[0].read_bytes()


def test_nothing_of_a_genome_is_lost(tmp_path):
    """Letters in are letters out, counted one by one."""
    out, _ = normalise(DEMO / "NC_001802.fna", "genome", tmp_path)
    with (DEMO / "NC_001802.fna").open() as stream:
        expected = Counter(str(SeqIO.read(stream, "fasta").seq))
    assert Counter("".join(records(out).values())) == expected


def test_what_is_not_accepted_leaves_what_was_there(tmp_path):
    before = normalise(DEMO / "NC_001802.fna", "genome", tmp_path)[0].read_bytes()
    seen = []

    def refuse(tally: Tally) -> None:
        seen.append((tally.first, tally.residues))
        raise SourceError("not this one")

    with pytest.raises(SourceError, match="not this one"):
        normalise(DEMO / "NC_005816.fna", "genome", tmp_path, refuse)
    assert [residues for _, residues in seen] == [9609]
    assert (tmp_path / "out.fasta.gz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_progress_ends_at_the_size_of_the_file(tmp_path):
    told = []
    normalise(DEMO / "NC_000932.gb.gz", "genome", tmp_path, advance=told.append)
    assert told == sorted(told)
    assert told[-1] == (DEMO / "NC_000932.gb.gz").stat().st_size


# What is refused


PROTEIN_OF_CODES = ">p\nMKSTVHDRKSWYSDKVVARGDSHKVM\n"


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "genome", "is empty, expected FASTA, GenBank or EMBL"),
        ("\n\n", "genome", "is empty"),
        ("ACGT\n", "genome", "begins with 'ACGT\\\\n', expected FASTA"),
        (" >a\nACGT\n", "genome", "begins with ' >a"),
        (">a\n>b\n", "genome", "no record has a sequence"),
        (">\nACGT\n", "genome", "line 1: the record has no name"),
        (">a\nAC\n\n>  \nACGT\n", "genome", "line 4: the record has no name"),
        (">a\x01b\nACGT\n", "genome", "line 1: the name 'a\\\\x01b' cannot be printed"),
        (b">a\xe9\nACGT\n", "genome", "line 1: the name .* cannot be printed"),
        (">a\nAC\n>b\nAC\n>a\nGG\n", "genome", "line 5: record 'a' is already at line 1"),
        (">a\nACGT\nAC-T\n", "genome", "line 3: record 'a' has '-' at position 7, a gap: .* not aligned"),
        (">a\r\nACGT\r\nAC.T\r\n", "genome", "line 3: record 'a' has '.' at position 7, a gap"),
        (">a\nACGT\n>b\nAC\nAC>T\n", "genome", "line 5: record 'b' has '>' at position 5"),
        (">a\nAC\x00GT\n", "genome", "line 2: record 'a' has '\\\\x00' at position 3"),
        (">a\nMKLV\n", "genome", "line 2: record 'a' has 'L' at position 3, expected a base"),
        (PROTEIN_OF_CODES, "genome", "23 of 26 letters are codes of .* for proteins set"),
        (">a\nMK*LV\n", "proteins", "line 2: record 'a' has '\\*' at position 3"),
        (">a\nMK*\nLV\n", "proteins", "line 2: record 'a' has '\\*' at position 3"),
        (">a\nMK**\n", "proteins", "record 'a' has '\\*' at position 3"),
        (">a\nMK-V\n", "proteins", "a gap"),
        (">a\nMK1V\n", "proteins", "line 2: record 'a' has '1' at position 3, expected a letter"),
        (">a\nACGUacguNNNN\n", "proteins", "12 of 12 letters are A, C, G, T, U or N, expected proteins"),
        (">" + "x" * (2**20 + 1) + "\nACGT\n", "genome", "line 1: the header has more than 1048576 bytes"),
        (">a\nAC\n>" + "x" * (3 << 20), "genome", "line 3: the header has more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_bad_source_is_named_and_nothing_is_left(tmp_path, content, kind, message):
    source = text(tmp_path, content)
    with pytest.raises(SourceError, match=message) as error:
        normalise(source, kind, tmp_path)
    assert str(error.value).startswith(str(source))
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


SAM = "read1\t0\tchr1\t100\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
GFF = "chr1\tRefSeq\tgene\t1\t100\t.\t+\t.\tID=x\n"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<!DOCTYPE html><html>", "an HTML page"), (b"\n\n  <HTML>\n", "an HTML page"),
        (b'<?xml version="1.0"?><a/>', "XML"), (b'{"error": "none"}', "JSON"), (b"[1, 2]", "JSON"),
        (b"##fileformat=VCFv4.2\n#CHROM\n", "VCF"), (b"BCF\x02\x02", "BCF"),
        (SAM.encode(), "SAM text"), (b"@HD\tVN:1.6\n" + SAM.encode(), "SAM text"),
        (b"##gff-version 3\n", "GFF"), (GFF.encode(), "GFF"), (b"chr1\t10\t200\tx\n", "BED"),
        (b"# STOCKHOLM 1.0\n", "Stockholm"),
        (b"CLUSTAL W (1.83)\n", "Clustal"), (b"#NEXUS\n", "NEXUS"),
        (b"NCBI.sra\x05\x03\x19\x88", "SRA .convert it to FASTQ"), (b"\x43\x27\x41\x1a" + bytes(12), "2bit"),
        (b"\x89HDF\r\n\x1a\n\0\0", "HDF5"), (b"\x8bPOD\r\n\x1a\n", "POD5"),
        (b"PK\x03\x04\x14\0", "zip archive"), (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"Rar!\x1a\x07\x01\0", "rar archive"), (b"\x1f\x9d\x90ab", "compress data"),
        (b"x.fa" + bytes(253) + b"ustar\x0000" + bytes(300), "tar archive"), (b"%PDF-1.7\n", "PDF"),
        (b"BAI\x01", "an index"), (">a\nACGT\n".encode("utf-16"), "text in UTF-16"),
        (">a\nACGT\n".encode("utf-16-le"), "text in UTF-16"),
    ],
)  # fmt: skip
def test_other_formats_are_refused_by_name(tmp_path, content, name):
    """Whatever is asked for, and compressed too."""
    packed = text(tmp_path, gzip.compress(content), "packed.fa.gz")
    for source in (text(tmp_path, content), packed):
        with pytest.raises(SourceError, match=name):
            normalise(source, "genome", tmp_path)
        with pytest.raises(SourceError, match=name):
            reads(tmp_path, source)
        with pytest.raises(SourceError, match=name):
            write_structure(source, reading(source), tmp_path / "x", accept)


def test_right_format_of_another_kind_names_the_kind(tmp_path, data):
    fastq, pdb = text(tmp_path, "@a\nAC\n+\nII\n", "a.fasta"), data / "structures/1L2Y.pdb"
    with pytest.raises(SourceError, match=r"is FASTQ, which holds reads; set kind reads"):
        normalise(fastq, "genome", tmp_path)
    with pytest.raises(SourceError, match="is PDB, which holds a structure; set kind structure"):
        normalise(pdb, "proteins", tmp_path)
    with pytest.raises(SourceError, match=r"FASTA, which has no base qualities.*expected FASTQ, BAM or CRAM"):
        reads(tmp_path, DEMO / "NC_001802.fna")
    with pytest.raises(SourceError, match="is GenBank, expected a structure in PDB or mmCIF"):
        write_structure(DEMO / "NC_005816.gb", reading(fastq), tmp_path / "x", accept)


# Compression


def bgzf(content: bytes, folder: Path) -> bytes:
    path = folder / "blocks.gz"
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(content)
    packed = path.read_bytes()
    path.unlink()
    return packed


PACKERS = {
    "gzip": gzip.compress,
    "members": lambda content: b"".join(map(gzip.compress, (content[:30000], b"", content[30000:]))),
    "bzip2": bz2.compress,
    "bzip2 streams": lambda content: bz2.compress(content[:999]) + bz2.compress(content[999:]),
    "xz": lzma.compress,
    "xz streams": lambda content: lzma.compress(content[:999]) + lzma.compress(content[999:]),
    "zstd": zstd.compress,
    "zstd frames": lambda content: struct.pack("<II", 0x184D2A50, 3) + b"xyz" + zstd.compress(content[:999])
    + zstd.compress(content[999:]),
}  # fmt: skip


@pytest.fixture(params=[*PACKERS, "bgzf"])
def pack(request, tmp_path):
    return PACKERS.get(request.param) or (lambda content: bgzf(content, tmp_path))


def test_compressed_in_any_way_is_the_same(tmp_path, pack):
    content = (DEMO / "NC_005816.gb").read_bytes()
    expected = normalise(DEMO / "NC_005816.gb", "genome", tmp_path)[0].read_bytes()
    assert normalise(text(tmp_path, pack(content), "x.txt"), "genome", tmp_path)[0].read_bytes() == expected


def test_truncated_or_followed_by_something_is_refused(tmp_path, pack):
    """Wherever it is cut, between the blocks of BGZF as well, what came before is kept."""
    content = b">a\n" + bytes(random.Random(1).choices(b"ACGT", k=200_000)) + b"\n"
    packed = pack(content)
    whole = normalise(text(tmp_path, packed), "genome", tmp_path)[0].read_bytes()
    ends = {len(packed) - 1, len(packed) - 5, len(packed) - 28, len(packed) - 40, len(packed) // 2, 40}
    for content in [*(packed[:end] for end in ends), packed + b"\0\0", packed + b"more than eight bytes"]:
        with pytest.raises(SourceError, match=r"cut off|damaged|follows|is empty"):
            normalise(text(tmp_path, content), "genome", tmp_path)
    assert (tmp_path / "out.fasta.gz").read_bytes() == whole


def test_flipped_bit_is_noticed(tmp_path):
    """By the checksum of the gzip data, where the letters are still letters."""
    packed = bytearray(gzip.compress(b">a\nACGTACGTGGTTCCAA\n", 0))
    packed[packed.index(b"GGTT")] = ord("A")
    with pytest.raises(SourceError, match="gzip data are damaged"):
        normalise(text(tmp_path, bytes(packed)), "genome", tmp_path)


def test_compressed_twice_is_refused(tmp_path, pack):
    source = text(tmp_path, bz2.compress(pack(b">a\nACGT\n")))
    with pytest.raises(SourceError, match=r"is compressed twice \(\w+ in bzip2\)"):
        normalise(source, "genome", tmp_path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_bombs_are_refused(tmp_path, pack):
    """However much comes out of few bytes; a small one may expand as far as it likes."""
    source = text(tmp_path, pack(b">a\n" + b"N" * 110_000_000))
    with pytest.raises(SourceError, match=r"more than 50000000 bytes unpacked, .*sequences/limits/file_GB"):
        normalise(source, "genome", tmp_path, max_bytes=50_000_000)
    with pytest.raises(SourceError, match="expected at most 50 times as many"):
        normalise(source, "genome", tmp_path, expansion=50.0)
    small = text(tmp_path, pack(b">a\n" + b"ACGT" * 100_000))
    assert normalise(small, "genome", tmp_path, expansion=2.0)[1].residues == 400_000


def test_windows_that_need_too_much_memory_are_refused(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 << 20}]
    options = {zstd.CompressionParameter.window_log: 28}
    long = zstd.ZstdCompressor(options=options)
    packed = long.compress(b">a\nACGT\n") + long.compress(b"ACGT" * 400_000) + long.flush()
    for content in (lzma.compress(b">a\nACGT\n", filters=filters), packed):
        with pytest.raises(SourceError, match="need a window of more than 128 MB"):
            normalise(text(tmp_path, content), "genome", tmp_path)


# Flat files


def flat_file(form: str, proteins: bool = False) -> str:
    kind = "protein" if proteins else "DNA"
    letters = "MKLVWEFDPQ" if proteins else "acgtryACGTnk"
    entries = [
        SeqRecord(
            Seq(letters * repeats), f"AB12345{repeats}.{repeats}", "AB1",
            description=f"A thing; with {'very ' * 20}long words", annotations={"molecule_type": kind},
        )
        for repeats in (1, 5, 6, 40)
    ]  # fmt: skip
    stream = io.StringIO()
    SeqIO.write(entries, stream, form)
    return stream.getvalue()


@pytest.mark.parametrize("proteins", [False, True])
@pytest.mark.parametrize("form", ["genbank", "embl"])
def test_flat_files_are_as_biopython_reads_them(tmp_path, form, proteins):
    content = flat_file(form, proteins)
    out, tally = normalise(text(tmp_path, content), "proteins" if proteins else "genome", tmp_path)
    with gzip.open(out, "rt") as stream:
        found = [(record.description, str(record.seq)) for record in SeqIO.parse(stream, "fasta")]
    expected = SeqIO.parse(io.StringIO(content), form)
    assert found == [(f"{record.id} {record.description}", str(record.seq).upper()) for record in expected]
    assert (tally.format, tally.records) == (form, 4)


def test_real_genbank_as_embl_is_the_same(tmp_path):
    stream = io.StringIO()
    SeqIO.convert(DEMO / "NC_005816.gb", "genbank", stream, "embl")
    out, _ = normalise(text(tmp_path, stream.getvalue()), "genome", tmp_path)
    assert records(out) == {"NC_005816.1": str(SeqIO.read(DEMO / "NC_005816.gb", "genbank").seq)}


UNIPROT = """ID   CYC_BOVIN               Reviewed;          12 AA.
AC   P62894; P00006;
DT   21-JUL-1986, integrated into UniProtKB/Swiss-Prot.
DE   RecName: Full=Cytochrome c;
GN   Name=CYCS; Synonyms=CYC;
SQ   SEQUENCE   12 AA;  1200 MW;  3F4A3A3D2C1B0A99 CRC64;
     MGDVEKGKKI FV
//
"""


def test_uniprot_text_is_read(tmp_path):
    out, _ = normalise(text(tmp_path, UNIPROT), "proteins", tmp_path)
    assert records(out) == {"P62894": "MGDVEKGKKIFV"}


@pytest.mark.parametrize("keep", [0.1, 0.55, 0.8, 0.99, 0.9998])
def test_truncated_genbank_is_refused(tmp_path, keep):
    whole = (DEMO / "NC_005816.gb").read_bytes()
    with pytest.raises(SourceError, match=r"line \d+: the entry is cut off: expected //"):
        normalise(text(tmp_path, whole[: int(len(whole) * keep)]), "genome", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ORIGIN.*?//", "CONTIG      join(AE017046.1:1..9609)\n//", "line 1: the entry has no sequence"),
        ("ORIGIN.*?//", "ORIGIN\n//", "line 1: the entry has no sequence"),
        (" 9541 [a-z ]*\n", " 9541\n", "entry 'NC_005816.1' has 9549 letters, expected 9609"),
        (" 9541 [a-z ]*\n", "", "entry 'NC_005816.1' has 9549 letters, expected 9609"),
        (" 9541 a", " 9541 l", "has 'l' at position 9541, expected a base"),
        ("//\n*$", "//\nnonsense\n", "expected an entry that begins with LOCUS"),
        ("//\n*$", "//\nLOCUS       X 4 bp\n", "the entry is cut off"),
        ("//\n*$", "", "the entry is cut off"),
    ],
)  # fmt: skip
def test_damaged_genbank_is_refused(tmp_path, old, new, message):
    content, changes = re.subn(old, new, (DEMO / "NC_005816.gb").read_text(), count=1, flags=re.DOTALL)
    assert changes == 1
    with pytest.raises(SourceError, match=message):
        normalise(text(tmp_path, content), "genome", tmp_path)


def test_genbank_of_dna_is_no_protein(tmp_path):
    with pytest.raises(SourceError, match="letters are A, C, G, T, U or N, expected proteins"):
        normalise(DEMO / "NC_005816.gb", "proteins", tmp_path)


# Names


def test_names_are_unique_among_many(tmp_path, monkeypatch):
    """Over several passes of sorting; the message names both lines."""
    monkeypatch.setattr(names, "_SPILL", 64)
    monkeypatch.setattr(names, "_AT_ONCE", 100)
    content = "".join(f">n{number}\nACGT\n" for number in range(1000))
    assert normalise(text(tmp_path, content), "genome", tmp_path)[1].records == 1000
    with pytest.raises(SourceError, match="line 2001: record 'n77' is already at line 155"):
        normalise(text(tmp_path, content + ">n77 again\nAC\n"), "genome", tmp_path)


def test_equal_digests_of_different_names_are_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(names.Names, "suspects", lambda self: {hash("a"), hash("b")})
    assert normalise(text(tmp_path, ">a\nAC\n>b\nAC\n>c\nAC\n"), "genome", tmp_path)[1].records == 3


# Reads


def test_reads_are_normalised_and_counted(tmp_path, caplog):
    content = "@a x\ty\nacgu.RN\n+a x\n!!~~III\n@e\n\n+\n\n@a\nAC\n+\n@+\n\n"
    (found,), tally = reads(tmp_path, text(tmp_path, content))
    assert found == [("a x\ty", "ACGTNRN", "!!~~III"), ("a", "AC", "@+")]
    assert tally.normalised == {"lower case": 4, "U to T": 1, ". to N": 1, "ambiguous bases kept": 2}
    assert (tally.records, tally.residues, tally.first) == (2, 9, "a")
    assert tally.set_aside["no letters"].first == ["e"]


def test_empty_reads_go_with_their_mates(tmp_path):
    first = text(tmp_path, "@a/1\nAC\n+\nII\n@b/1\n\n+\n\n@c/1\nA\n+\nI\n", "1.fq")
    second = text(tmp_path, "@a/2 x\nGG\n+\nII\n@b/2\nA\n+\nI\n@c/2\nT\n+\nI\n", "2.fq")
    found, tally = reads(tmp_path, first, second)
    assert found == [[("a/1", "AC", "II"), ("c/1", "A", "I")], [("a/2 x", "GG", "II"), ("c/2", "T", "I")]]
    assert (tally.records, tally.set_aside["no letters"].records) == (4, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("@a\nACGT\n+\nII\n", "line 1: the read is cut off"),
        ("@a\nACGT\n+\nIIIII\n", "line 1: read 'a' has 4 letters and 5 qualities"),
        ("@a\nAC\n+\nII\n@b\nAC\n+", "line 5: the read is cut off"),
        ("@a\nAC\n+\nII\n@b\nAC\n", "line 5: the read is cut off"),
        ("@a\nAC\n+\nII\n@b\nAC\n+\nI", "line 5: the read is cut off"),
        ("@a\nAC\n+\nII\n@b\n", "line 5: the read is cut off"),
        ("@a\nAC\n+\nII\nb\nAC\n+\nII\n", "line 5: begins with 'b', expected a read"),
        ("@a\nAC\n+\nII\n@b\nA-\n+\nII\n", "line 5: read 'b' has '-' at position 2, expected a base"),
        ("@a\nAC\n+\nII\n@b\nAC\n+\nI \n", "line 5: read 'b' has quality ' ' at position 2"),
        ("@a\nAC\n+\nII\n@\nAC\n+\nII\n", "line 5: read '' has a header that does not begin with a name"),
        ("@a\nAC\n+\nII\n@b\x01\nAC\n+\nII\n", "line 5: .* cannot be printed"),
        (b"@a\xe9\nAC\n+\nII\n", "line 1: .* cannot be printed"),
        ("@a\n+\nII\n", "line 1: read 'a' has 0 letters and 2 qualities"),
        ("@a x\nAC\n+a x\nII\n@b\nAC\n+a\nII\n", r"line 5: read 'b' is 'a' behind its '\+'"),
        ("@a\n\n+\n\n", "no read has letters"),
    ],
)  # fmt: skip
def test_bad_reads_are_named(tmp_path, content, message):
    source = text(tmp_path, content)
    with pytest.raises(SourceError, match=message) as error:
        reads(tmp_path, source)
    assert str(error.value).startswith(str(source))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_missing_and_strange_mates_are_named(tmp_path):
    one = "".join(f"@r{number}/1\nAC\n+\nII\n" for number in range(3))
    two = one.replace("/1", "/2")
    first, second = text(tmp_path, one, "1.fq"), text(tmp_path, two[:-15], "2.fq")
    with pytest.raises(SourceError, match=r"1.fq line 9: read 'r2/1' has no mate in .*2.fq"):
        reads(tmp_path, first, second)
    text(tmp_path, one[:-15], "1.fq")
    text(tmp_path, two, "2.fq")
    with pytest.raises(SourceError, match=r"2.fq line 9: read 'r2/2' has no mate in .*1.fq"):
        reads(tmp_path, first, second)
    with pytest.raises(SourceError, match=r"2.fq: has reads /2, expected those of mate 1 first"):
        reads(tmp_path, second, first)
    text(tmp_path, one, "1.fq")
    text(tmp_path, two.replace("r1/2", "r9/2"), "2.fq")
    with pytest.raises(SourceError, match=r"1.fq line 5 has read 'r1/1', .*2.fq line 5 has read 'r9/2'"):
        reads(tmp_path, first, second)


def test_a_read_above_4_MB_is_refused(tmp_path):
    long = b"@a\n" + b"A" * (1 << 22) + b"A\n+\n" + b"I" * (1 << 22) + b"I\n"
    with pytest.raises(SourceError, match="read 'a' has 4194305 letters, expected at most 4194304"):
        reads(tmp_path, text(tmp_path, long))
    with pytest.raises(SourceError, match=r"line 1: the read has more than 4194304 letters"):
        reads(tmp_path, text(tmp_path, long.replace(b"\n+", b"A" * (8 << 20))))


# BAM and CRAM


@pytest.fixture(scope="module")
def aligned(tmp_path_factory) -> dict[str, Path]:
    """The same reads aligned and not, as BAM and CRAM; of every flag that decides, and without qualities."""
    folder, dice = tmp_path_factory.mktemp("aligned"), random.Random(4)
    reference = "".join(dice.choices("ACGT", k=5000))
    paths = {name: folder / f"{name}.{name.split('_')[0]}" for name in ("bam", "cram", "bam_unaligned")}
    paths["reference"] = text(folder, f">c1\n{reference}\n", "ref.fa")
    pysam.faidx(str(paths["reference"]))
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c1", "LN": 5000}]}
    with pysam.AlignmentFile(paths["bam"], "wb", header=header) as aligned, pysam.AlignmentFile(
        paths["bam_unaligned"], "wb", header={"HD": {"VN": "1.6"}}
    ) as unaligned:  # fmt: skip
        for number in range(3000):
            start, length = dice.randrange(4800), dice.randrange(1, 150)
            read = pysam.AlignedSegment()
            read.query_name, read.flag = (
                f"r{number}",
                dice.choice([0, 16, 99, 147, 73, 133, 272, 2048, 528, 1040]),
            )
            read.query_sequence = reference[start : start + length - 1] + dice.choice("ACGTNRKB")
            read.reference_id, read.reference_start, read.mapping_quality = 0, start, 60
            read.cigarstring = f"{length}M"
            if number % 5:
                read.query_qualities_str = "".join(chr(dice.randrange(33, 74)) for _ in range(length))
            aligned.write(read)
            read.flag, read.reference_id, read.reference_start, read.cigarstring = 4, -1, -1, None
            unaligned.write(read)
    pysam.view(
        "-C", "-T", str(paths["reference"]), "-o", str(paths["cram"]), str(paths["bam"]), catch_stdout=False
    )
    return paths


def fastq_of_samtools(path: Path, folder: Path, *more: str) -> list[tuple[str, str, str]]:
    out = str(folder / "samtools.fastq")
    pysam.fastq(*more, "-N", "-0", out, "-1", out, "-2", out, str(path), catch_stdout=False)
    return fastq_of(Path(out).read_text())


@pytest.mark.parametrize("name", ["bam", "bam_unaligned", "cram"])
def test_reads_of_bam_and_cram_are_those_of_samtools(tmp_path, aligned, name):
    reference = str(aligned["reference"]) if name == "cram" else ""
    (found,), tally = reads(tmp_path, aligned[name], reference=reference)
    assert found == fastq_of_samtools(
        aligned[name], tmp_path, *(("--reference", reference) if reference else ())
    )
    left = tally.normalised["secondary and supplementary alignments left out"]
    assert tally.records == len(found) == 3000 - left
    assert (left > 0) == (name != "bam_unaligned")
    assert tally.normalised["reads without qualities"] > 300
    assert tally.normalised["ambiguous bases kept"] > 100


def test_empty_reads_of_bam_are_set_aside(tmp_path):
    path = tmp_path / "x.bam"
    with pysam.AlignmentFile(path, "wb", header={"HD": {"VN": "1.6"}}) as out:
        for name, letters in (("a", "ACGT"), ("b", None)):
            read = pysam.AlignedSegment()
            read.query_name, read.flag, read.query_sequence = name, 4, letters
            out.write(read)
    (found,), tally = reads(tmp_path, path)
    assert found == [("a", "ACGT", "BBBB")]
    assert tally.set_aside["no letters"].first == ["b"]


@pytest.mark.parametrize("name", ["bam", "cram"])
def test_truncated_bam_and_cram_are_refused(tmp_path, aligned, name):
    whole = aligned[name].read_bytes()
    for end in (len(whole) // 2, len(whole) - 1, len(whole) - {"bam": 28, "cram": 38}[name]):
        with pytest.raises(SourceError, match=r"cut off|damaged"):
            reads(tmp_path, text(tmp_path, whole[:end]), reference=str(aligned["reference"]))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    with pytest.raises(SourceError, match="damaged"):
        reads(tmp_path, text(tmp_path, bytes(damaged)), reference=str(aligned["reference"]))
    assert not list(tmp_path.glob("out*"))


def test_cram_without_its_reference_says_what_to_set(tmp_path, aligned, monkeypatch):
    monkeypatch.setenv("REF_PATH", str(tmp_path))
    moved = aligned["reference"].rename(tmp_path / "moved.fa")
    try:
        with pytest.raises(
            SourceError, match="set sequences/cram_reference to the FASTA they were aligned to"
        ):
            reads(tmp_path, aligned["cram"])
        other = text(tmp_path, ">c1\n" + "ACGTT" * 1000 + "\n", "other.fa")
        with pytest.raises(SourceError, match=r"other\.fa' has no index \(expected FASTA, and its \.fai"):
            reads(tmp_path, aligned["cram"], reference=str(other))
        pysam.faidx(str(other))
        with pytest.raises(SourceError, match=r"other.fa, is not the FASTA they were aligned to"):
            reads(tmp_path, aligned["cram"], reference=str(other))
        with pytest.raises(SourceError, match=r"sequences/cram_reference .* has no index"):
            reads(tmp_path, aligned["cram"], reference=str(tmp_path / "none.fa"))
    finally:
        moved.rename(aligned["reference"])


def test_bam_is_for_reads_and_alone(tmp_path, aligned):
    with pytest.raises(SourceError, match="is BAM, which holds reads; set kind reads"):
        normalise(aligned["bam"], "genome", tmp_path)
    with pytest.raises(SourceError, match="is BAM, which holds both mates: give it as the only file"):
        reads(tmp_path, aligned["bam"], aligned["bam"])
    with pytest.raises(SourceError, match=r"is CRAM compressed once more with xz"):
        reads(tmp_path, text(tmp_path, lzma.compress(aligned["cram"].read_bytes())))


# Structures


@pytest.mark.parametrize("name", ["1L2Y.pdb", "1L2Y.cif"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_structure_formats_are_told_apart(tmp_path, data, name, pack):
    content, out = (data / "structures" / name).read_bytes(), tmp_path / "x.structure"
    source = text(tmp_path, pack(content))
    tally = write_structure(source, reading(source), out, accept)
    assert tally.format == {"pdb": "pdb", "cif": "mmcif"}[name.split(".")[1]]
    assert (tally.records, tally.residues) == (304, 20)
    assert out.read_bytes() == content
    assert mean_plddt(out, tally.format) == pytest.approx(0.0)


@pytest.mark.parametrize("name", ["1L2Y.pdb", "1L2Y.cif"])
def test_mean_plddt_is_that_of_the_residues(tmp_path, data, name):
    """The B factors of the CA atoms, which are set to 1, 2, 3, … here."""
    from Bio.PDB import MMCIFIO, PDBIO, PDBParser

    structure = PDBParser(QUIET=True).get_structure("", data / "structures/1L2Y.pdb")
    for model in structure:
        for number, residue in enumerate(model.get_residues(), 1):
            residue["CA"].bfactor = float(number)
    io, path = (MMCIFIO(), tmp_path / "x.cif") if name.endswith("cif") else (PDBIO(), tmp_path / "x.pdb")
    io.set_structure(structure)
    io.save(str(path))
    assert mean_plddt(path, "mmcif" if name.endswith("cif") else "pdb") == pytest.approx(10.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty, expected PDB or mmCIF"),
        ("data_x\n_cell.a 1\n", "is not a structure"),
        ("HEADER    NOTHING\nEND\n", r"is not a structure \(no atoms\)"),
        ("data_x\nloop_\n_atom_site.id\n_atom_site.x\n1 2", "its last line has no end: it is cut off"),
    ],
)
def test_what_is_no_structure_is_refused(tmp_path, content, message):
    source = text(tmp_path, content)
    with pytest.raises(SourceError, match=message):
        write_structure(source, reading(source), tmp_path / "x.structure", accept)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_truncated_mmcif_is_refused(tmp_path, data, share):
    """Cut within a row; behind the table of atoms nothing of them is lost, but the last line has no end."""
    whole = (data / "structures/1L2Y.cif").read_bytes()
    end = int(len(whole) * share)
    source = text(tmp_path, whole[: end - (whole[end - 1 : end] == b"\n")])
    with pytest.raises(SourceError, match=r"is cut off|is not a structure"):
        write_structure(source, reading(source), tmp_path / "x.structure", accept)


# Any text


def simple_fasta(content: bytes) -> list[tuple[str, str]]:
    """An independent reader, line by line."""
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[tuple[str, str]] = []
    for line in content.split(b"\n"):
        if line.startswith(b">"):
            found.append((line[1:].decode("utf-8", "replace").split()[0], ""))
        elif line.strip():
            name, letters = found[-1]
            found[-1] = name, letters + "".join(line.decode().upper().replace("U", "T").split())
    return [record for record in found if record[1]]


FASTA = ">a one\nACGTNNNN\nacgu\n>b\n\nGGGGG\n>c\tthree\r\nRYACGTACGTACGT\n"
FASTQ = "@a x\nACGT\n+\nIIII\n@b\nACG\nT.\n+b\n@@I\nII\n@c\n\n+\n\n"


@st.composite
def mutated(draw, whole: str):
    """A text with some of its bytes cut out, doubled or replaced."""
    content = bytearray(whole.encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content[start:end] = draw(
            st.sampled_from(
                [b"", bytes(content[start:end]) * 2, b"\n", b"\r", b">", b"@", b"+", b"*", b"//\n"]
            )
            | st.binary(max_size=5)
        )
    return bytes(content)


@given(st.binary(max_size=200) | mutated(FASTA), st.sampled_from(["genome", "metagenome"]))
@example(b">a\n>a\nAC", "genome")
@MANY
def test_any_fasta_gives_its_records_or_a_named_error(tmp_path, content, kind):
    source = text(tmp_path, content)
    try:
        out, tally = normalise(source, kind, tmp_path)
    except SourceError as error:
        assert str(error).startswith(str(source))
        assert len(str(error).splitlines()) == 1
        return
    found = [(record.id, str(record.seq)) for record in SeqIO.parse(io.StringIO(unpacked(out)), "fasta")]
    assert found == simple_fasta(content)
    assert tally.records == len(found)
    assert_indexed(out)


@given(st.binary(max_size=200).map(lambda tail: b"@" + tail) | mutated(FASTQ))
@MANY
def test_any_fastq_gives_its_reads_or_a_named_error(tmp_path, content):
    source = text(tmp_path, content)
    try:
        (found,), tally = reads(tmp_path, source)
    except SourceError as error:
        assert str(error).startswith(str(source))
        assert len(str(error).splitlines()) == 1
        return
    plain = content.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n").replace("\r", "\n")
    expected = fastq_of(re.sub(r"\A\s*\n", "", plain))
    normal = [
        (title, letters.upper().replace("U", "T").replace(".", "N"), q) for title, letters, q in expected
    ]
    assert found == [read for read in normal if read[1]]
    assert tally.residues == sum(len(letters) for _, letters, _ in found)


@pytest.mark.parametrize("form", ["genbank", "embl"])
@given(st.data())
@settings(MANY, max_examples=60)
def test_any_flat_file_gives_all_its_letters_or_a_named_error(tmp_path, form, data):
    """A file that is accepted has as many letters as its entries say."""
    content = data.draw(mutated(flat_file(form)))
    source = text(tmp_path, content)
    try:
        _, tally = normalise(source, "genome", tmp_path)
    except SourceError as error:
        assert str(error).startswith(str(source))
        assert len(str(error).splitlines()) == 1
        return
    first = b"LOCUS" if form == "genbank" else b"ID"
    lines = [line for line in re.split(rb"[\r\n]+", content) if line.startswith(first)]
    stated = [re.search(rb"(\d+) (?:bp|BP)", line) for line in lines]
    if tally.format == form and all(stated):
        assert tally.residues == sum(int(length[1]) for length in stated)


@given(
    st.lists(
        st.tuples(
            st.text("abcXYZ0|._-", min_size=1, max_size=9),
            st.text("ACGTacgtuUNn", min_size=1, max_size=200),
            st.sampled_from(["\n", "\r\n", "\n\n"]),
        ),
        min_size=1, max_size=8, unique_by=lambda record: record[0],
    ),
    st.integers(1, 80),
)  # fmt: skip
@settings(MANY, max_examples=40)
def test_written_then_read_is_the_same(tmp_path, entries, width):
    """However lines are broken: the letters come back in upper case, U as T."""
    content = "".join(
        f">{name}{end}" + "".join(letters[at : at + width] + end for at in range(0, len(letters), width))
        for name, letters, end in entries
    )
    out, _ = normalise(text(tmp_path, content), "metagenome", tmp_path)
    assert records(out) == {name: letters.upper().replace("U", "T") for name, letters, _ in entries}


@given(
    st.lists(
        st.text("ACGTN", min_size=1, max_size=90).flatmap(
            lambda letters: st.tuples(
                st.just(letters),
                st.text([chr(code) for code in range(33, 127)], min_size=len(letters), max_size=len(letters)),
            )
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 40),
)
@settings(MANY, max_examples=60)
def test_multi_line_fastq_is_read_right(tmp_path, entries, width):
    """Lines of qualities may begin with '@' and '+'."""

    def wrap(line: str) -> str:
        return "".join(line[at : at + width] + "\n" for at in range(0, len(line), width))

    content = "".join(
        f"@r{n}\n{wrap(letters)}+\n{wrap(quality)}" for n, (letters, quality) in enumerate(entries)
    )
    (found,), _ = reads(tmp_path, text(tmp_path, content))
    assert found == [(f"r{n}", letters, quality) for n, (letters, quality) in enumerate(entries)]


# Memory

PEAK = """
import sys
from pathlib import Path
from helixflow.sequences.formats.normalise import Reading, write_sequences
from helixflow.sequences.formats.reads import write_reads

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

before, source, out = peak(), Path(sys.argv[2]), Path(sys.argv[3])
reading = Reading("x", 10**10, 1e6, lambda _: None)
if sys.argv[1] == "reads":
    write_reads([source], [reading], [out], "", print)
else:
    write_sequences(source, "genome", reading, out, out.with_suffix(".fai"), out.with_suffix(".gzi"), print)
print(peak() - before)
"""


def fill(path: Path, name: str) -> str:
    letters = bytes(random.Random(5).choices(b"ACGTacgtN", k=1 << 20))
    with path.open("wb") as out:
        if name == "one line":
            out.write(b">a\n" + letters * 150)
        elif name == "tiny records":
            out.writelines(b">record%d\nACGTA\n" % number for number in range(400_000))
        elif name == "xz":
            out.write(lzma.compress(b">a\n" + letters * 4, preset=6))
        else:
            read = b"%b\n+\n%b\n" % (letters, b"I" * len(letters))
            out.writelines(b"@r%d\n%b" % (number, read) for number in range(20))
    return "reads" if name == "reads of 1 MB" else "genome"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to tell the peak of memory")
@pytest.mark.parametrize("name", ["one line", "tiny records", "xz", "reads of 1 MB"])
def test_memory_is_bounded(tmp_path, name):
    """64 MB above the import of the modules, numpy included, whatever the size of source and records."""
    kind = fill(tmp_path / "source", name)
    command = [sys.executable, "-c", PEAK, kind, tmp_path / "source", tmp_path / "out.gz"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}, check=True
    )
    assert float(done.stdout.split()[-1]) < 64
