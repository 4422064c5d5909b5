"""Structures: read, cleaned, and set up in a box of water for GROMACS.

`read` knows the file formats and `deposit` what they tell. `clean` makes of that what can be simulated, part
by part: `choose` (model, chains, assembly, locations), `hetero` (what is no protein), `modified` (residues
that stand for natural ones), `gaps` (what is missing), `repair` and `refine` (what is built), `geometry` and
`disulfides` (whether that can be), `serialise` (what is written). `residues` is the table that later stages
read, `peptide` builds short chains by their sequence, `topology` reads what pdb2gmx wrote, and `prepare` runs
the GROMACS tools.
"""
