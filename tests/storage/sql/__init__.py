"""What is promised of SQL databases only."""
