"""What PostgreSQL and SQLite say differently, under the same names."""
