"""The tests of sessionstore.

`support/` makes real databases, `conformance/` runs the suite of `sessionstore.testing` on every storage provider.
"""

import pytest

# A helper that asserts shows what it compared, as a test does.
pytest.register_assert_rewrite(__name__)
