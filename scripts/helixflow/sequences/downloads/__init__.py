"""Downloads over HTTP and from S3 that resume, wait their turn at each source, and keep below the limits."""
