"""How a residue relates to the one of its partner."""

STATUSES = ("identical", "substituted", "unmatched")


def status(code: str, partner_code: str) -> str:
    """Name the relation of two residues by their letters; the partner's is empty where there is none."""
    if not partner_code:
        return "unmatched"
    return "identical" if code == partner_code else "substituted"
