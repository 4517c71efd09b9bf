"""What nobody should put in, at scale: documents and ids as they come, and rows that were altered by hand."""
