"""States and their JSON text, without a database."""
