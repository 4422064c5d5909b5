"""Stage coanalysis: motion, contacts and embeddings of a structure's replicas, per frame, residue and pair.

First each replica's frames are measured: `molecule` and `trajectory` read and check them, `geometry` has
the motion and the contacts, `measures` the file of what is kept. Then the replicas and the embeddings are
brought together: `links`, `embedding`, `predicted` and `inputs` read and check what is known, `contacts`,
`motion` and `components` have the algebra, `blocks` analyses a block of frames, `analysis` spreads the
blocks over MPI ranks (`parallel`) and sums them up by `moments`, `explained` and `statistics` compare, and
`output` writes the result.
"""
