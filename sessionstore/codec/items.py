"""Encodes the items of a session to JSON text and decodes them. No other module knows the type of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from ..errors import CorruptStateError, InvalidStateError, StateTooLargeError
from ..ids import SessionId
from .jsontext import Refused
from .typed import Typed
from .upgrades import Upgrade, Upgrades
from .verbatim import copied, dumps, loads, loads_all

I = TypeVar("I")  # noqa: E741  # as in the contract: SessionManager[T, I]


class ItemCodec(Generic[I]):
    """Encodes items to JSON text and decodes them. Refuses an item that would not be read back as it was written.

    An item without a type is a JSON value and is kept verbatim: the order of keys, NUL characters, lone surrogates,
    integers of any length and floats stay as they are. The one exception is a high surrogate before a low one: the pair
    becomes the character that it encodes. Such an item may be nested 900 levels deep.

    A typed item is read back at once and compared with the given item. It may be nested 200 levels deep. pydantic
    accepts lone surrogates in texts, but not in a str with a constraint or in the key of a dict.

    The path of an error begins with the index of the item in the call: ``$[2].content[0].text``. The path of an error
    of decode() begins with the position of the item in the session.

    Args:
        item_type: The type of an item, or its TypeAdapter; None: plain JSON values.
        max_bytes: The longest text of one item that is accepted, in bytes of UTF-8.
        version: The shape version of the items that are written.
        upgrades: For each earlier version, the function that makes an item of the next one.

    Attributes:
        version: The shape version of the items that encode() writes.

    Raises:
        ConfigurationError: pydantic has no schema for the type, or the version or an upgrade is invalid. A type may
            name types that are defined later; a call that comes before raises ConfigurationError.
    """

    def __init__(
        self,
        item_type: type[I] | TypeAdapter[I] | None,
        max_bytes: int,
        version: int = 1,
        upgrades: Mapping[int, Upgrade] | None = None,
    ) -> None:
        self._typed: Typed[I] | None = None if item_type is None else Typed(item_type, "item", loads)
        self._max_bytes = max_bytes
        self._upgrades = Upgrades("item", version, upgrades, loads, dumps)
        self.version = self._upgrades.version

    def encode(self, item: I, index: int, session_id: SessionId) -> str:
        """Returns the JSON text of an item.

        Args:
            item: The item; also None, which is null in JSON.
            index: The index of the item in the call; for errors.
            session_id: The session that errors name.

        Raises:
            ConfigurationError: The item type names a type that is not defined.
            InvalidStateError: The item would not be read back as it is. The error has the path of the first difference.
            StateTooLargeError: The text takes more than ``max_bytes``.
        """
        return self._encode(item, index, session_id, copying=False)[0]

    def encode_with_copy(self, item: I, index: int, session_id: SessionId) -> tuple[str, I]:
        """Like encode(), but also returns a copy of the item, read back from the text.

        Raises:
            InvalidStateError: As encode().
        """
        return self._encode(item, index, session_id, copying=True)

    def decode(self, text: str, position: int, session_id: SessionId, version: int = 1) -> I:
        """Returns the item of a stored JSON text.

        Args:
            text: The text, as encode() or another program wrote it.
            position: The position of the item in the session; for errors.
            session_id: The session that errors name.
            version: The shape version that the text was written under.

        Raises:
            ConfigurationError: The item type names a type that is not defined.
            CorruptStateError: The text is no JSON, or does not fit the item type after the upgrades. Or an upgrade
                failed, or the version is later than this codec's.
        """
        if self._typed is not None:
            self._typed.complete()
        if version != self.version:
            self._upgrades.check(version, session_id, f"$[{position}]")
        try:
            if version != self.version:
                text = self._upgrades.current(text, version)
            return loads(text) if self._typed is None else self._typed.read(text)
        except Refused as error:
            refused = error
        except ValueError:
            refused = Refused("is no JSON text")
        refused.inside(position)
        # Raised outside the except blocks: the caught error holds the text, and would become the context.
        raise CorruptStateError(refused.reason, path=refused.path, session_id=session_id, noun="items")

    def decode_all(
        self, texts: Sequence[str], positions: Sequence[int], session_id: SessionId, versions: Sequence[int]
    ) -> Sequence[I]:
        """Returns the items of several stored JSON texts, as decode() does for each one.

        Raises:
            ConfigurationError: As decode().
            CorruptStateError: As decode(); for the first text that has a fault.
        """
        if self._typed is None and versions.count(self.version) == len(texts):
            try:
                return loads_all(texts)
            except (Refused, ValueError):
                pass  # decode() below raises the error that names the item
        return [
            self.decode(text, position, session_id, version)
            for text, position, version in zip(texts, positions, versions, strict=True)
        ]

    def _encode(self, item: I, index: int, session_id: SessionId, *, copying: bool) -> tuple[str, I]:
        try:
            encoded = dumps(item if self._typed is None else self._typed.dumped(item))
            if len(encoded) <= self._max_bytes:
                text = encoded.decode()
                if self._typed is not None:
                    return text, self._typed.checked(text, item)
                # dumps() only accepts values that come back unchanged, so the copy is not compared with the item.
                return text, copied(encoded) if copying else item
        except Refused as error:
            refused = error
            refused.inside(index)
        else:
            raise StateTooLargeError(
                size=len(encoded), limit=self._max_bytes, path=f"$[{index}]", session_id=session_id, noun="items"
            )
        raise InvalidStateError(refused.reason, path=refused.path, session_id=session_id, noun="items")
