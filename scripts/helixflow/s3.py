"""A client of S3, or of a service that speaks as it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.client import BaseClient


def connect(timeout_s: float, endpoint: str, access: str, attempts: int = 1) -> tuple[BaseClient, str]:
    """Return a client, and how it asks: anonymously or with credentials.

    Parameters
    ----------
    timeout_s : float
        Seconds without a byte after which a try fails.
    endpoint : str
        Address of the service, "" for that of AWS or of the environment.
    access : str
        ``auto``, ``anonymous`` or ``credentials``.
    attempts : int
        How often it tries.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.session.Session()
    signed = access == "credentials" or (access == "auto" and session.get_credentials() is not None)
    config = Config(
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        response_checksum_validation="when_required",
        signature_version=None if signed else UNSIGNED,
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    client = session.client("s3", endpoint_url=endpoint or None, config=config)
    return client, "with credentials" if signed else "anonymously"
