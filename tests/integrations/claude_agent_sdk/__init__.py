"""The store of the Claude Agent SDK's transcripts."""
