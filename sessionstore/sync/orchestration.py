"""OrchestrationStateManager, for programs without asyncio.

Written by `python -m tests.sync`, from `sessionstore/orchestration.py`.
"""

from __future__ import annotations

from datetime import timedelta

from ..ids import SessionId
from ..orchestration import DEFAULT_TTL, AIOrchestrationState, OrchestrationState
from ..orchestration import OrchestrationStateManager as AsyncOrchestrationStateManager
from .link import Linked
from .storage import StorageProvider, reached


class OrchestrationStateManager(Linked):
    """Keeps step, tools, sequence and token usage of each conversation.

    Each method returns the state after the call, or None if the session is absent or expired. Each change is one atomic
    update, so concurrent calls lose nothing. A fault of the storage raises StorageError; an invalid id raises
    InvalidSessionIdError, and a change that cannot be stored InvalidStateError.

    Args:
        storage: Where states are kept; the caller closes it. None: a new MemoryStorageProvider.
        namespace: Separates these states from others that use the same ids.
        ttl: How long a state lives after an access; None: it does not expire. If the argument is missing,
            ``SESSION_TTL_SECONDS`` decides, then 24 hours.
    """

    asynchronous: AsyncOrchestrationStateManager

    def __init__(
        self,
        storage: StorageProvider | None = None,
        namespace: str = "orchestration-state",
        *,
        ttl: timedelta | None = DEFAULT_TTL,
    ) -> None:
        provider, self._link = reached(storage)
        self.asynchronous = AsyncOrchestrationStateManager(provider, namespace, ttl=ttl)

    def get_state(self, session_id: SessionId) -> OrchestrationState | None:
        """Reads the state. This is an access."""
        return self._run(self.asynchronous.get_state(session_id))

    def get_or_create_state(self, session_id: SessionId | None = None) -> OrchestrationState:
        """Reads the state, or creates it, under a new id if none is given. Of racing callers exactly one creates it."""
        return self._run(self.asynchronous.get_or_create_state(session_id))

    def update_state(self, session_id: SessionId, **changes: object) -> OrchestrationState | None:
        """Sets the named fields.

        Raises:
            InvalidStateError: A field does not exist or cannot be set (``last_accessed``), or a value does not fit its
                field; nothing was written.
        """
        return self._run(self.asynchronous.update_state(session_id, **changes))

    def set_active_step(self, session_id: SessionId, step: str | None) -> OrchestrationState | None:
        """Sets the current step; None: there is none."""
        return self._run(self.asynchronous.set_active_step(session_id, step))

    def add_used_tool(self, session_id: SessionId, tool: str) -> OrchestrationState | None:
        """Puts a tool at the front of the recently used tools. Only the newest ten are kept."""
        return self._run(self.asynchronous.add_used_tool(session_id, tool))

    def advance_sequence(self, session_id: SessionId) -> OrchestrationState | None:
        """Adds one to the position in the sequence."""
        return self._run(self.asynchronous.advance_sequence(session_id))

    def add_token_usage(
        self, session_id: SessionId, *, prompt_tokens: int = 0, completion_tokens: int = 0
    ) -> OrchestrationState | None:
        """Adds the tokens of one call of a model. The total grows by the sum of both.

        Raises:
            InvalidStateError: A count is negative, or no whole number; nothing was written.
        """
        return self._run(
            self.asynchronous.add_token_usage(
                session_id, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
            )
        )

    def reset_state(self, session_id: SessionId) -> OrchestrationState | None:
        """Sets all fields to the values of a new state. The session keeps its id, its creation time and its owner."""
        return self._run(self.asynchronous.reset_state(session_id))

    def cleanup_session(self, session_id: SessionId) -> OrchestrationState | None:
        """Deletes the session and returns its last state; None: it was absent, or another caller deleted it first."""
        return self._run(self.asynchronous.cleanup_session(session_id))

    def to_ai_orchestration_state(self, session_id: SessionId) -> AIOrchestrationState | None:
        """Reads the part of the state that a model may see. This is an access."""
        return self._run(self.asynchronous.to_ai_orchestration_state(session_id))
