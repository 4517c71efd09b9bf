"""States and their JSON text: what may be stored, whether it comes back equal, and where it does not fit its type."""
