"""The SQL that differs between PostgreSQL and SQLite, under the same names."""
