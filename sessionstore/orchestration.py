"""OrchestrationStateManager: keeps step, tools, sequence and token usage of conversations in a SessionManager."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from . import config
from .codec.jsontext import jsonpath, named
from .errors import InvalidStateError, SessionNotFoundError
from .ids import SessionId
from .manager import SessionManager
from .session import SessionResult, SessionState
from .storage import StorageProvider

DEFAULT_TTL: Final = timedelta(hours=24)
MAX_RECENT_TOOLS: Final = 10


class TokenUsage(BaseModel):
    """Tokens spent on a conversation so far."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)


class OrchestrationState(SessionState):
    """Where an orchestrated conversation stands.

    Attributes:
        active_step: The current step; None: there is none.
        recently_used_tools: The tools, newest first, without repeats, at most 10.
        sequence_index: The position in the sequence of the current step.
        last_accessed: The time of the last access, by the storage's clock.
        cumulative_token_usage: The tokens spent so far.
    """

    active_step: str | None = None
    recently_used_tools: list[str] = Field(default_factory=list, max_length=MAX_RECENT_TOOLS)
    sequence_index: int = 0
    last_accessed: datetime
    cumulative_token_usage: TokenUsage = Field(default_factory=TokenUsage)


class AIOrchestrationState(BaseModel):
    """The part of an OrchestrationState that a model or a client may see, without the times and the token usage."""

    session_id: SessionId
    active_step: str | None
    recently_used_tools: list[str]
    sequence_index: int


class OrchestrationStateManager:
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

    def __init__(
        self,
        storage: StorageProvider | None = None,
        namespace: str = "orchestration-state",
        *,
        ttl: timedelta | None = DEFAULT_TTL,
    ) -> None:
        self._sessions = SessionManager(
            _new_state,
            storage,
            namespace,
            state_type=OrchestrationState,
            ttl=config.session_ttl(ttl) if ttl is DEFAULT_TTL else ttl,
        )

    async def get_state(self, session_id: SessionId) -> OrchestrationState | None:
        """Reads the state. This is an access."""
        return _state_of(await self._sessions.get_session(session_id))

    async def get_or_create_state(self, session_id: SessionId | None = None) -> OrchestrationState:
        """Reads the state, or creates it, under a new id if none is given. Of racing callers exactly one creates it."""
        state = _state_of(await self._sessions.create_session(session_id))
        assert state is not None, "create_session() never answers that the session is absent"
        return state

    async def update_state(self, session_id: SessionId, **changes: object) -> OrchestrationState | None:
        """Sets the named fields.

        Raises:
            InvalidStateError: A field does not exist or cannot be set (``last_accessed``), or a value does not fit its
                field; nothing was written.
        """
        settable = OrchestrationState.model_fields.keys() - {"session_id", "last_accessed"}
        if unknown := sorted(changes.keys() - settable):
            reason = f"cannot be set; the fields that can be set are {', '.join(sorted(settable))}"
            raise InvalidStateError(reason, path=jsonpath(unknown[:1]), session_id=session_id)

        def change(state: OrchestrationState) -> OrchestrationState:
            try:
                changed = OrchestrationState.model_validate(dict(state) | changes)
                if "recently_used_tools" in changes:
                    _check_repeats(changed.recently_used_tools, session_id)
                return changed
            except ValidationError as error:
                first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            # Raised outside the except block: the error that was caught quotes the state, and would become the context.
            reason, path = f"does not fit its field ({first['type']})", jsonpath(first["loc"])
            raise InvalidStateError(reason, path=path, session_id=session_id)

        return await self._update(session_id, change)

    async def set_active_step(self, session_id: SessionId, step: str | None) -> OrchestrationState | None:
        """Sets the current step; None: there is none."""
        return await self.update_state(session_id, active_step=step)

    async def add_used_tool(self, session_id: SessionId, tool: str) -> OrchestrationState | None:
        """Puts a tool at the front of the recently used tools. Only the newest ten are kept."""

        def change(state: OrchestrationState) -> None:
            others = [other for other in state.recently_used_tools if other != tool]
            state.recently_used_tools = [tool, *others][:MAX_RECENT_TOOLS]

        return await self._update(session_id, change)

    async def advance_sequence(self, session_id: SessionId) -> OrchestrationState | None:
        """Adds one to the position in the sequence."""

        def change(state: OrchestrationState) -> None:
            state.sequence_index += 1

        return await self._update(session_id, change)

    async def add_token_usage(
        self, session_id: SessionId, *, prompt_tokens: int = 0, completion_tokens: int = 0
    ) -> OrchestrationState | None:
        """Adds the tokens of one call of a model. The total grows by the sum of both.

        Raises:
            InvalidStateError: A count is negative, or no whole number; nothing was written.
        """
        for name, count in (("prompt_tokens", prompt_tokens), ("completion_tokens", completion_tokens)):
            path = f"$.cumulative_token_usage.{name}"
            if type(count) is not int:
                reason = f"must be a whole number, not {named(type(count))}"
                raise InvalidStateError(reason, path=path, session_id=session_id)
            if count < 0:
                raise InvalidStateError("cannot be lowered; give 0 or more", path=path, session_id=session_id)

        def change(state: OrchestrationState) -> None:
            usage = state.cumulative_token_usage
            usage.prompt_tokens += prompt_tokens
            usage.completion_tokens += completion_tokens
            usage.total_tokens += prompt_tokens + completion_tokens

        return await self._update(session_id, change)

    async def reset_state(self, session_id: SessionId) -> OrchestrationState | None:
        """Sets all fields to the values of a new state. The session keeps its id, its creation time and its owner."""
        return await self._update(session_id, lambda state: _new_state(state.session_id))

    async def cleanup_session(self, session_id: SessionId) -> OrchestrationState | None:
        """Deletes the session and returns its last state; None: it was absent, or another caller deleted it first."""
        last = _state_of(await self._sessions.get_session(session_id, touch=False))
        deleted = (await self._sessions.delete_session(session_id)).unwrap()
        return last if deleted else None

    async def to_ai_orchestration_state(self, session_id: SessionId) -> AIOrchestrationState | None:
        """Reads the part of the state that a model may see. This is an access."""
        state = await self.get_state(session_id)
        if state is None:
            return None
        return AIOrchestrationState(
            session_id=state.session_id,
            active_step=state.active_step,
            recently_used_tools=state.recently_used_tools,
            sequence_index=state.sequence_index,
        )

    async def _update(
        self, session_id: SessionId, change: Callable[[OrchestrationState], OrchestrationState | None]
    ) -> OrchestrationState | None:
        return _state_of(await self._sessions.update_session(session_id, change))


def _check_repeats(tools: list[str], session_id: SessionId) -> None:
    for position, tool in enumerate(tools):
        if tool in tools[:position]:
            path = jsonpath(["recently_used_tools", position])
            raise InvalidStateError("names a tool twice; name each tool once", path=path, session_id=session_id)


def _new_state(session_id: SessionId) -> OrchestrationState:
    return OrchestrationState(session_id=session_id, last_accessed=datetime.now(UTC))


def _state_of(result: SessionResult[OrchestrationState]) -> OrchestrationState | None:
    if isinstance(result.error, SessionNotFoundError):
        return None
    state = result.unwrap()
    assert result.metadata is not None, "a result with a state has metadata"
    # The storage's time replaces the stored time, which comes from the clock of the process that wrote last.
    state.last_accessed = result.metadata.last_accessed_at
    return state
