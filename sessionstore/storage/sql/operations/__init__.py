"""What the provider is asked, as statements and retries: creations, deletions, reads in parts, held rows."""
