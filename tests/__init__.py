"""The tests of sessionstore.

`support/` makes real databases, `conformance/` runs the suite of `sessionstore.testing` on every storage provider.
"""

from pkgutil import iter_modules

import pytest

# A helper that asserts shows what it compared, as a test does.
pytest.register_assert_rewrite(*(f"{__name__}.{folder.name}" for folder in iter_modules(__path__) if folder.ispkg))
