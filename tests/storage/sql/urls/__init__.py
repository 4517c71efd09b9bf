"""URLs of databases."""
