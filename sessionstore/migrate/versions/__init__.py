"""Our revisions for a host's Alembic: the directory that the host names in ``version_locations``.

Their ids differ from those of our own Alembic, because a host may have a revision "0001" too.
"""
