"""`StoredSession`, the adapter for the OpenAI Agents SDK."""
