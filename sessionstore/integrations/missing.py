"""The error of an adapter whose framework is not installed."""

from __future__ import annotations


def missing_extra(extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Returns the error of an adapter whose framework could not be imported. Raise it from the error of the import.

    Args:
        extra: The extra of this project that installs the framework.
        error: The error of the import. Its ``name`` is kept, so that a caller can tell which package is missing.
    """
    module = f"sessionstore.integrations.{extra.replace('-', '_')}"
    return ModuleNotFoundError(
        f"{module} needs {error.name or 'a package'}, which is not installed: pip install 'sessionstore[{extra}]'",
        name=error.name,
    )
