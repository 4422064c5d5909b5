"""Stage coanalysis: motion, contacts and embeddings of a structure's replicas, per frame, residue and pair.

First each replica's frames are measured: `molecule` and `trajectory` read and check them, `geometry`,
`kernels` and `secondary` have motion, contacts and secondary structure, `replica` spreads blocks of frames
over MPI ranks (`parallel`), `recording` writes and `measures` reads the file of what is kept. Then the
replicas and the embeddings are brought together: `links`, `embedding`, `predicted` and `inputs` read and
check what is known, `contacts`, `motion` and `components` have the algebra, `blocks` analyses a block of
frames, `analysis` sums the blocks up by `moments`, `explained` and `statistics` compare, and `output` writes
the result.
"""
