from __future__ import annotations

from tests.support.pgbouncer import PGBOUNCER

# Not there where there is no pooler, instead of skipped; the last line of the run says so.
collect_ignore = [] if PGBOUNCER is not None else ["test_pooler.py"]
