"""Embed every distinct protein once, one vector per residue, and keep the vectors in a store.

Reads   results/proteins/distinct.fasta.gz         every distinct protein once
        results/proteins/representatives.fasta.gz  in its place, where near-duplicates are grouped
        results/proteins/clusters.parquet          the representative of every protein then
        the model                                  from the hub or a local folder
Writes  results/embeddings/model.json              what the model is exactly
        results/embeddings/plan/{shard}.fasta      what the store lacks
        results/embeddings/{shard}.parquet         what the job of the shard added to the store
        results/embeddings/{shard}.json            how fast, with what memory and on what
        results/embeddings/index.parquet           protein, length, URI, the protein that was embedded
        results/embeddings/all.h5                  one file over all parts of the store that the run uses
On request, or where a query is configured
        results/embeddings/neighbours.parquet      nearest proteins by cosine of pooled vectors
On request
        results/embeddings/per_accession.h5        a dataset for each label, as UniProt has it
        results/embeddings/skbio.h5                the layout that scikit-bio reads
        results/embeddings/verified.tsv            what is wrong with the store (verify_store)
        results/embeddings/contacts/{shard}.parquet  protein, length, URI of the contact maps, where asked for
        the store                                  grows, is never rewritten, may be shared by runs
"""

from helixflow.embeddings import heads_files, model_files

neighbours_query = [path for path in [config["embeddings"]["neighbours_query"]] if path]


rule make_closed_form_model:
    """Make a small model with weights in closed form, only when it is the configured one."""
    output:
        config="results/embeddings/closed_form_model/config.json",
        vocabulary="results/embeddings/closed_form_model/vocab.txt",
        weights="results/embeddings/closed_form_model/model.safetensors",
    log:
        "logs/make_closed_form_model.log",
    benchmark:
        "benchmarks/make_closed_form_model.tsv"
    conda:
        "../envs/embeddings.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../scripts/make_closed_form_model.py"


rule describe_model:
    """Find or fetch the model and check it, before anything that takes long."""
    input:
        files=model_files(config["embeddings"]["model"]),
    output:
        model="results/embeddings/model.json",
    log:
        "logs/describe_model.log",
    benchmark:
        "benchmarks/describe_model.tsv"
    priority: 1
    # Compute nodes of a cluster often have no way to the hub.
    localrule: True
    conda:
        "../envs/embeddings.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        # In a list: the linter takes a text that begins an input's path for a hard-coded prefix.
        model=[config["embeddings"]["model"], config["embeddings"]["revision"]],
        compute=lookup("embeddings/compute", within=config),
        weights_sha256=lookup("embeddings/weights_sha256", within=config),
    script:
        "../scripts/describe_model.py"


rule plan_shards:
    """Share out the proteins that the store lacks."""
    input:
        proteins=branch(
            lookup("proteins/cluster_identity", within=config),
            then="results/proteins/representatives.fasta.gz",
            otherwise="results/proteins/distinct.fasta.gz",
        ),
        model="results/embeddings/model.json",
    output:
        shards=collect("results/embeddings/plan/{shard}.fasta", shard=shards),
    log:
        "logs/plan_shards.log",
    benchmark:
        "benchmarks/plan_shards.tsv"
    conda:
        "../envs/embeddings.yaml"
    # What proteins cost is measured with the threads that embed.
    threads: lookup("embeddings/threads", within=config)
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        store=lookup("embeddings/store", within=config),
        shards=lookup("embeddings/shards", within=config),
    script:
        "../scripts/plan_shards.py"


rule embed_shard:
    """Embed the proteins of one shard into the store."""
    input:
        proteins="results/embeddings/plan/{shard}.fasta",
        model="results/embeddings/model.json",
    output:
        added="results/embeddings/{shard}.parquet",
        summary="results/embeddings/{shard}.json",
    log:
        "logs/embed_shard/{shard}.log",
    benchmark:
        "benchmarks/embed_shard/{shard}.tsv"
    conda:
        "../envs/embeddings.yaml"
    threads: lookup("embeddings/threads", within=config)
    resources:
        mem_mb=6000,
        runtime=1440,
    params:
        max_length_trained=lookup("embeddings/max_length_trained", within=config),
    script:
        "../scripts/embed_shard.py"


rule index_embeddings:
    """Say for every distinct protein which part of the store holds it."""
    input:
        proteins="results/proteins/distinct.fasta.gz",
        model="results/embeddings/model.json",
        added=collect("results/embeddings/{shard}.parquet", shard=shards),
        clusters=branch(
            lookup("proteins/cluster_identity", within=config),
            then="results/proteins/clusters.parquet",
            otherwise=[],
        ),
    output:
        index="results/embeddings/index.parquet",
        virtual="results/embeddings/all.h5",
    log:
        "logs/index_embeddings.log",
    benchmark:
        "benchmarks/index_embeddings.tsv"
    conda:
        "../envs/embeddings.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        store=lookup("embeddings/store", within=config),
    script:
        "../scripts/index_embeddings.py"


rule map_contacts:
    """Give the short proteins of some parts of the store their contact maps, from the model's attention."""
    input:
        index="results/embeddings/index.parquet",
        model="results/embeddings/model.json",
        heads=heads_files(config["embeddings"]["contact_heads"]),
    output:
        maps="results/embeddings/contacts/{shard}.parquet",
    log:
        "logs/map_contacts/{shard}.log",
    benchmark:
        "benchmarks/map_contacts/{shard}.tsv"
    conda:
        "../envs/embeddings.yaml"
    threads: lookup("embeddings/threads", within=config)
    resources:
        mem_mb=6000,
        runtime=1440,
    params:
        below=lookup("embeddings/contacts_below", within=config),
        heads=lookup("embeddings/contact_heads", within=config),
    script:
        "../scripts/map_contacts.py"


rule verify_store:
    """Look through the store for parts that are damaged or missing; only on request."""
    input:
        model="results/embeddings/model.json",
        index="results/embeddings/index.parquet",
        contacts=branch(
            lookup("embeddings/contacts_below", within=config),
            then=collect("results/embeddings/contacts/{shard}.parquet", shard=shards),
            otherwise=[],
        ),
    log:
        "logs/verify_store.log",
    conda:
        "../envs/embeddings.yaml"
    resources:
        mem_mb=1000,
        runtime=600,
    script:
        "../scripts/verify_store.py"


rule export_per_accession:
    """Copy the embeddings into a file with a dataset for each label; only on request."""
    input:
        index="results/embeddings/index.parquet",
        occurrences="results/proteins/occurrences.parquet",
    output:
        export="results/embeddings/per_accession.h5",
    log:
        "logs/export_per_accession.log",
    benchmark:
        "benchmarks/export_per_accession.tsv"
    conda:
        "../envs/embeddings.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    script:
        "../scripts/export_per_accession.py"


rule export_skbio:
    """Copy the embeddings into a file that scikit-bio reads; only on request."""
    input:
        index="results/embeddings/index.parquet",
    output:
        export="results/embeddings/skbio.h5",
    log:
        "logs/export_skbio.log",
    benchmark:
        "benchmarks/export_skbio.tsv"
    conda:
        "../envs/embeddings.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    script:
        "../scripts/export_skbio.py"


rule find_neighbours:
    """Find the nearest proteins of each query, or of every protein where no query is configured."""
    input:
        index="results/embeddings/index.parquet",
        model="results/embeddings/model.json",
        query=neighbours_query,
    output:
        neighbours="results/embeddings/neighbours.parquet",
    log:
        "logs/find_neighbours.log",
    benchmark:
        "benchmarks/find_neighbours.tsv"
    conda:
        "../envs/embeddings.yaml"
    threads: lookup("embeddings/threads", within=config)
    resources:
        mem_mb=6000,
        runtime=600,
    params:
        k=lookup("embeddings/neighbours_k", within=config),
    script:
        "../scripts/find_neighbours.py"


rule embeddings:
    """Every distinct protein has its embedding."""
    input:
        rules.proteins.input,
        rules.describe_model.output,
        rules.plan_shards.output,
        collect(rules.embed_shard.output, shard=shards),
        rules.index_embeddings.output,
        branch(neighbours_query, then=rules.find_neighbours.output),
        branch(
            lookup("embeddings/contacts_below", within=config),
            then=collect("results/embeddings/contacts/{shard}.parquet", shard=shards),
        ),
    localrule: True
