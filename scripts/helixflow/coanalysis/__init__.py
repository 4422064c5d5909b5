"""Stage coanalysis: motion, contacts and embeddings of a structure's replicas, per frame, residue and pair.

`molecule`, `embedding` and `trajectory` read and check the inputs, `geometry` has the motion and the
contacts, `blocks` analyses a block of frames, `analysis` spreads the blocks over MPI ranks and sums
them up, `statistics` compares contacts with embeddings, and `output` writes the result.
"""
