"""How psycopg, asyncpg and aiosqlite are asked, without SQLAlchemy in between."""
