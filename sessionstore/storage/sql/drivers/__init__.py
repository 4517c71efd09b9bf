"""The drivers psycopg, asyncpg and aiosqlite, called without SQLAlchemy in between."""
