"""Cookie: the Set-Cookie header of a session (RFC 6265, section 4.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal, TypeAlias

from ...errors import ConfigurationError
from ...session import SessionResult

SameSite: TypeAlias = Literal["lax", "strict", "none"]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token of HTTP (RFC 9110, section 5.6.2)."""
_VALUE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]+")
"""The value of an attribute: ASCII without control characters and without ";"."""
_SAME_SITES: Final = {"lax": "Lax", "strict": "Strict", "none": "None"}


@dataclass(frozen=True)
class Cookie:
    """The name and the attributes of a cookie.

    Raises:
        ConfigurationError: A browser would refuse such a cookie.
    """

    name: str
    https_only: bool
    same_site: SameSite
    path: str
    domain: str | None
    partitioned: bool

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"the cookie {ascii(self.name)[:80]} has a name that HTTP does not allow")
        for name, value in (("path", self.path), ("domain", self.domain)):
            if value is not None and not _VALUE.fullmatch(value):
                raise ConfigurationError(f"the {name} {ascii(value)[:80]} of the cookie cannot be written in a header")
        if not self.path.startswith("/"):
            raise ConfigurationError(f"the path {ascii(self.path)[:80]} of the cookie must begin with a slash")
        if self.same_site not in _SAME_SITES:
            raise ConfigurationError(f"same_site is {', '.join(_SAME_SITES)}, not {ascii(self.same_site)[:80]}")
        secure = [("same_site='none'", self.same_site == "none"), ("partitioned=True", self.partitioned)]
        secure += [(f"the name {prefix}...", self._begins_with(prefix)) for prefix in ("__Secure-", "__Host-")]
        for setting, is_set in secure:
            if is_set and not self.https_only:
                raise ConfigurationError(f"{setting} needs https_only=True, or browsers refuse the cookie")
        if self._begins_with("__Host-") and (self.path != "/" or self.domain is not None):
            raise ConfigurationError('a cookie named __Host-... needs path="/" and no domain, or browsers refuse it')

    def set(self, token: str, max_age: int | None) -> str:
        """Returns the header that sets the cookie for this many seconds; None: until the browser ends."""
        return self._header(token, "" if max_age is None else f"Max-Age={max_age}; ")

    def delete(self) -> str:
        """Returns the header that removes the cookie from the browser."""
        return self._header("", "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; ")

    def _header(self, value: str, age: str) -> str:
        header = f"{self.name}={value}; path={self.path}; {age}HttpOnly; SameSite={_SAME_SITES[self.same_site]}"
        if self.https_only:
            header += "; Secure"
        if self.domain is not None:
            header += f"; domain={self.domain}"
        return f"{header}; partitioned" if self.partitioned else header

    def _begins_with(self, prefix: str) -> bool:
        return self.name.lower().startswith(prefix.lower())  # browsers ignore the case too


def max_age(seen: SessionResult[Any, Any]) -> int | None:
    """Returns for how many seconds the browser keeps the cookie: the TTL, but no longer than the session can live."""
    facts = seen.metadata
    if facts is None or facts.expires_at is None:
        return None
    left = facts.expires_at - (seen.read_at or facts.last_accessed_at)
    lasts = left if facts.ttl is None else min(facts.ttl, left)
    return ceil(max(lasts, timedelta(0)).total_seconds())
