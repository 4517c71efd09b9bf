"""Database URLs and their parameters, as libpq and SQLAlchemy document them."""
