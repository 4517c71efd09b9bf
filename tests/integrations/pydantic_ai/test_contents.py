"""What messages and records may hold, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationRecord
from pydantic_ai.messages import (
    BinaryImage,
    FilePart,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from sessionstore import CorruptStateError, InvalidStateError, SessionManager, StateTooLargeError, StorageProvider
from sessionstore.integrations.pydantic_ai import StoredConversationStore
from sessionstore.testing.clock import START

from .talk import ID, asked, conversation, question


@pytest.fixture
def store(storage: StorageProvider) -> StoredConversationStore:
    return StoredConversationStore(storage)


async def said(store: StoredConversationStore) -> list[Any]:
    talk = await store.load(ID)
    assert talk is not None
    return asked(talk.messages)


class Invoice(BaseModel):
    number: int


async def test_messages_come_back_as_pydantic_ai_itself_would_read_them(store: StoredConversationStore) -> None:
    image = BinaryImage(data=bytes(range(256)), media_type="image/png")
    returned = {"model": Invoice(number=7), "raw": b"\xff", "nan": float("nan"), "at": START}
    messages: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart(content=["look", image])], metadata={"\x00": 10**40}),
        ModelResponse(parts=[ToolCallPart("bill", {"z": 1e16, "a": -0.0}), FilePart(image)]),
        ModelRequest(parts=[ToolReturnPart("bill", returned, tool_call_id="t")]),
    ]
    await store.save(Conversation(conversation_id=ID, messages=messages))
    loaded = await store.load(ID)
    assert loaded is not None
    assert loaded.messages == ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages))
    assert loaded.messages[:2] == messages[:2]


async def test_messages_with_half_an_emoji_come_back(store: StoredConversationStore) -> None:
    image = BinaryImage(data=bytes(range(256)), media_type="image/png")
    talk = conversation(ModelRequest(parts=[UserPromptPart(content=["\ud83d", image])], metadata={"x": "\ud83d"}))
    await store.save(talk)
    assert await store.load(ID) == talk


async def test_a_message_that_is_too_long_is_refused(storage: StorageProvider) -> None:
    store = StoredConversationStore(storage, max_message_bytes=10_000)
    talk = conversation(question("first"))
    await store.save(talk)
    talk.messages += [question("second"), question("x" * 10_000)]
    with pytest.raises(StateTooLargeError):
        await store.save(talk)
    assert await said(store) == ["first"]
    talk.messages[-1] = question("shorter")
    await store.save(talk)
    assert await said(store) == ["first", "second", "shorter"]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_a_message_or_record_that_would_not_be_read_back_is_refused(store: StoredConversationStore) -> None:
    wrong: Any = 7
    with pytest.raises(InvalidStateError, match="read back"):
        await store.save(conversation(ModelResponse(parts=[TextPart(wrong)])))
    record = ConversationRecord(conversation_id=ID, head_id=None, forked_at=wrong)
    with pytest.raises(InvalidStateError, match="read back"):
        await store.write_record(record, expected_revision=None)
    assert await store.load(ID) is None


async def test_a_state_of_another_program_is_no_conversation(
    store: StoredConversationStore, storage: StorageProvider
) -> None:
    await store.save(conversation(question("hello")))
    record = await store.read_record(ID)
    assert record is not None
    states: list[Any] = [{}, [], {"record": "{"}, {"record": "[]"}, {"record": 7}, {"record": '{"a": 1}'}]
    for number, state in enumerate(states):

        def broken(_: str, state: Any = state) -> Any:
            return state

        await SessionManager[Any](broken, storage, "pydantic-ai").create_session(f"x{number}")
        with pytest.raises(CorruptStateError):
            await store.load(f"x{number}")
        with pytest.raises(CorruptStateError):
            await store.list_conversations()
        await SessionManager[Any](lambda _: {}, storage, "pydantic-ai").delete_session(f"x{number}")
    items = SessionManager[Any, Any](lambda _: {}, storage, "pydantic-ai")
    await items.append_items(ID, [7], ids=["seven"])
    with pytest.raises(CorruptStateError):
        await store.read_entry("seven")
    await items.append_items(ID, [{"id": "eight", "parent_id": None, "message": {}}], ids=["eight"])
    with pytest.raises(CorruptStateError):
        await store.read_history("eight")
