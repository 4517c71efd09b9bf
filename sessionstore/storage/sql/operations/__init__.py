"""The operations of the SQL provider: each runs statements, and retries them where needed."""
