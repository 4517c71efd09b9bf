"""py-key-value, and FastMCP, which keeps its sessions and tokens in a store of py-key-value."""
