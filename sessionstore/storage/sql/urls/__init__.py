"""Database URLs and their parameters, in the forms of libpq and SQLAlchemy."""
