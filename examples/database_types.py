"""Rows of the public tables. Written by scripts/types from supabase/migrations; a change made here is lost."""

from __future__ import annotations

import datetime
import uuid
from typing import (
    Annotated,
    Any,
    List,
    Literal,
    Optional,
    TypedDict,
)
from typing_extensions import NotRequired, TypeAlias

from pydantic import BaseModel, Field, JsonValue


class PublicAgentExecutions(BaseModel):
    agent_type: str = Field(alias="agent_type")
    attempt: int = Field(alias="attempt")
    completed_at: Optional[datetime.datetime] = Field(alias="completed_at")
    error: Optional[str] = Field(alias="error")
    fence: int = Field(alias="fence")
    id: uuid.UUID = Field(alias="id")
    item: Optional[JsonValue] = Field(alias="item")
    priority: int = Field(alias="priority")
    reason: str = Field(alias="reason")
    reply_of: Optional[uuid.UUID] = Field(alias="reply_of")
    reserved_model: Optional[str] = Field(alias="reserved_model")
    reserved_provider: Optional[str] = Field(alias="reserved_provider")
    reserved_tokens: Optional[int] = Field(alias="reserved_tokens")
    reserved_usd: Optional[float] = Field(alias="reserved_usd")
    stack_id: uuid.UUID = Field(alias="stack_id")
    started_at: datetime.datetime = Field(alias="started_at")
    status: str = Field(alias="status")
    work_at: Optional[datetime.datetime] = Field(alias="work_at")
    work_key: str = Field(alias="work_key")
    worker_id: uuid.UUID = Field(alias="worker_id")


class PublicAgentExecutionsInsert(TypedDict):
    agent_type: Annotated[str, Field(alias="agent_type")]
    attempt: NotRequired[Annotated[int, Field(alias="attempt")]]
    completed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="completed_at")]]
    error: NotRequired[Annotated[Optional[str], Field(alias="error")]]
    fence: Annotated[int, Field(alias="fence")]
    id: Annotated[uuid.UUID, Field(alias="id")]
    item: NotRequired[Annotated[Optional[JsonValue], Field(alias="item")]]
    priority: Annotated[int, Field(alias="priority")]
    reason: Annotated[str, Field(alias="reason")]
    reply_of: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="reply_of")]]
    reserved_model: NotRequired[Annotated[Optional[str], Field(alias="reserved_model")]]
    reserved_provider: NotRequired[Annotated[Optional[str], Field(alias="reserved_provider")]]
    reserved_tokens: NotRequired[Annotated[Optional[int], Field(alias="reserved_tokens")]]
    reserved_usd: NotRequired[Annotated[Optional[float], Field(alias="reserved_usd")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    started_at: NotRequired[Annotated[datetime.datetime, Field(alias="started_at")]]
    status: NotRequired[Annotated[str, Field(alias="status")]]
    work_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="work_at")]]
    work_key: Annotated[str, Field(alias="work_key")]
    worker_id: Annotated[uuid.UUID, Field(alias="worker_id")]


class PublicAgentExecutionsUpdate(TypedDict):
    agent_type: NotRequired[Annotated[str, Field(alias="agent_type")]]
    attempt: NotRequired[Annotated[int, Field(alias="attempt")]]
    completed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="completed_at")]]
    error: NotRequired[Annotated[Optional[str], Field(alias="error")]]
    fence: NotRequired[Annotated[int, Field(alias="fence")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    item: NotRequired[Annotated[Optional[JsonValue], Field(alias="item")]]
    priority: NotRequired[Annotated[int, Field(alias="priority")]]
    reason: NotRequired[Annotated[str, Field(alias="reason")]]
    reply_of: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="reply_of")]]
    reserved_model: NotRequired[Annotated[Optional[str], Field(alias="reserved_model")]]
    reserved_provider: NotRequired[Annotated[Optional[str], Field(alias="reserved_provider")]]
    reserved_tokens: NotRequired[Annotated[Optional[int], Field(alias="reserved_tokens")]]
    reserved_usd: NotRequired[Annotated[Optional[float], Field(alias="reserved_usd")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    started_at: NotRequired[Annotated[datetime.datetime, Field(alias="started_at")]]
    status: NotRequired[Annotated[str, Field(alias="status")]]
    work_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="work_at")]]
    work_key: NotRequired[Annotated[str, Field(alias="work_key")]]
    worker_id: NotRequired[Annotated[uuid.UUID, Field(alias="worker_id")]]


class PublicAgentStacks(BaseModel):
    cadence_s: Optional[int] = Field(alias="cadence_s")
    created_at: datetime.datetime = Field(alias="created_at")
    execution_state: str = Field(alias="execution_state")
    id: uuid.UUID = Field(alias="id")
    participant_name: str = Field(alias="participant_name")
    paused_at: Optional[datetime.datetime] = Field(alias="paused_at")
    phase: str = Field(alias="phase")
    priority: int = Field(alias="priority")
    started_at: Optional[datetime.datetime] = Field(alias="started_at")
    stopped_at: Optional[datetime.datetime] = Field(alias="stopped_at")
    team_type: str = Field(alias="team_type")
    updated_at: datetime.datetime = Field(alias="updated_at")
    woken_at: Optional[datetime.datetime] = Field(alias="woken_at")


class PublicAgentStacksInsert(TypedDict):
    cadence_s: NotRequired[Annotated[Optional[int], Field(alias="cadence_s")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    execution_state: NotRequired[Annotated[str, Field(alias="execution_state")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    participant_name: Annotated[str, Field(alias="participant_name")]
    paused_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="paused_at")]]
    phase: NotRequired[Annotated[str, Field(alias="phase")]]
    priority: NotRequired[Annotated[int, Field(alias="priority")]]
    started_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="started_at")]]
    stopped_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="stopped_at")]]
    team_type: NotRequired[Annotated[str, Field(alias="team_type")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    woken_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="woken_at")]]


class PublicAgentStacksUpdate(TypedDict):
    cadence_s: NotRequired[Annotated[Optional[int], Field(alias="cadence_s")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    execution_state: NotRequired[Annotated[str, Field(alias="execution_state")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    participant_name: NotRequired[Annotated[str, Field(alias="participant_name")]]
    paused_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="paused_at")]]
    phase: NotRequired[Annotated[str, Field(alias="phase")]]
    priority: NotRequired[Annotated[int, Field(alias="priority")]]
    started_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="started_at")]]
    stopped_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="stopped_at")]]
    team_type: NotRequired[Annotated[str, Field(alias="team_type")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    woken_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="woken_at")]]


class PublicAgentStates(BaseModel):
    agent_type: str = Field(alias="agent_type")
    current_context: JsonValue = Field(alias="current_context")
    inbox: JsonValue = Field(alias="inbox")
    last_run_at: Optional[datetime.datetime] = Field(alias="last_run_at")
    memory: JsonValue = Field(alias="memory")
    stack_id: uuid.UUID = Field(alias="stack_id")
    updated_at: datetime.datetime = Field(alias="updated_at")


class PublicAgentStatesInsert(TypedDict):
    agent_type: Annotated[str, Field(alias="agent_type")]
    current_context: NotRequired[Annotated[JsonValue, Field(alias="current_context")]]
    inbox: NotRequired[Annotated[JsonValue, Field(alias="inbox")]]
    last_run_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_run_at")]]
    memory: NotRequired[Annotated[JsonValue, Field(alias="memory")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicAgentStatesUpdate(TypedDict):
    agent_type: NotRequired[Annotated[str, Field(alias="agent_type")]]
    current_context: NotRequired[Annotated[JsonValue, Field(alias="current_context")]]
    inbox: NotRequired[Annotated[JsonValue, Field(alias="inbox")]]
    last_run_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_run_at")]]
    memory: NotRequired[Annotated[JsonValue, Field(alias="memory")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicAgentTraces(BaseModel):
    action: str = Field(alias="action")
    agent_type: str = Field(alias="agent_type")
    created_at: datetime.datetime = Field(alias="created_at")
    id: int = Field(alias="id")
    result: JsonValue = Field(alias="result")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    simulated: bool = Field(alias="simulated")
    stack_id: uuid.UUID = Field(alias="stack_id")
    thought: str = Field(alias="thought")


class PublicAgentTracesInsert(TypedDict):
    action: Annotated[str, Field(alias="action")]
    agent_type: Annotated[str, Field(alias="agent_type")]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[int, Field(alias="id")]]
    result: NotRequired[Annotated[JsonValue, Field(alias="result")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    thought: NotRequired[Annotated[str, Field(alias="thought")]]


class PublicAgentTracesUpdate(TypedDict):
    action: NotRequired[Annotated[str, Field(alias="action")]]
    agent_type: NotRequired[Annotated[str, Field(alias="agent_type")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[int, Field(alias="id")]]
    result: NotRequired[Annotated[JsonValue, Field(alias="result")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    thought: NotRequired[Annotated[str, Field(alias="thought")]]


class PublicArtifactBodies(BaseModel):
    artifact_id: uuid.UUID = Field(alias="artifact_id")
    content: str = Field(alias="content")
    diff: Optional[str] = Field(alias="diff")


class PublicArtifactBodiesInsert(TypedDict):
    artifact_id: Annotated[uuid.UUID, Field(alias="artifact_id")]
    content: Annotated[str, Field(alias="content")]
    diff: NotRequired[Annotated[Optional[str], Field(alias="diff")]]


class PublicArtifactBodiesUpdate(TypedDict):
    artifact_id: NotRequired[Annotated[uuid.UUID, Field(alias="artifact_id")]]
    content: NotRequired[Annotated[str, Field(alias="content")]]
    diff: NotRequired[Annotated[Optional[str], Field(alias="diff")]]


class PublicArtifacts(BaseModel):
    created_at: datetime.datetime = Field(alias="created_at")
    created_by: str = Field(alias="created_by")
    id: uuid.UUID = Field(alias="id")
    metadata: JsonValue = Field(alias="metadata")
    restores: Optional[int] = Field(alias="restores")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    simulated: bool = Field(alias="simulated")
    size_bytes: int = Field(alias="size_bytes")
    stack_id: uuid.UUID = Field(alias="stack_id")
    todo_id: Optional[uuid.UUID] = Field(alias="todo_id")
    type: str = Field(alias="type")
    url: Optional[str] = Field(alias="url")
    version: int = Field(alias="version")


class PublicArtifactsInsert(TypedDict):
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    created_by: NotRequired[Annotated[str, Field(alias="created_by")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    metadata: NotRequired[Annotated[JsonValue, Field(alias="metadata")]]
    restores: NotRequired[Annotated[Optional[int], Field(alias="restores")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    size_bytes: NotRequired[Annotated[int, Field(alias="size_bytes")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    todo_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="todo_id")]]
    type: NotRequired[Annotated[str, Field(alias="type")]]
    url: NotRequired[Annotated[Optional[str], Field(alias="url")]]
    version: Annotated[int, Field(alias="version")]


class PublicArtifactsUpdate(TypedDict):
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    created_by: NotRequired[Annotated[str, Field(alias="created_by")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    metadata: NotRequired[Annotated[JsonValue, Field(alias="metadata")]]
    restores: NotRequired[Annotated[Optional[int], Field(alias="restores")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    size_bytes: NotRequired[Annotated[int, Field(alias="size_bytes")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    todo_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="todo_id")]]
    type: NotRequired[Annotated[str, Field(alias="type")]]
    url: NotRequired[Annotated[Optional[str], Field(alias="url")]]
    version: NotRequired[Annotated[int, Field(alias="version")]]


class PublicBudgets(BaseModel):
    agent_type: Optional[str] = Field(alias="agent_type")
    created_at: datetime.datetime = Field(alias="created_at")
    id: uuid.UUID = Field(alias="id")
    per: str = Field(alias="per")
    stack_id: Optional[uuid.UUID] = Field(alias="stack_id")
    tokens: Optional[int] = Field(alias="tokens")
    usd: Optional[float] = Field(alias="usd")


class PublicBudgetsInsert(TypedDict):
    agent_type: NotRequired[Annotated[Optional[str], Field(alias="agent_type")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    per: Annotated[str, Field(alias="per")]
    stack_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="stack_id")]]
    tokens: NotRequired[Annotated[Optional[int], Field(alias="tokens")]]
    usd: NotRequired[Annotated[Optional[float], Field(alias="usd")]]


class PublicBudgetsUpdate(TypedDict):
    agent_type: NotRequired[Annotated[Optional[str], Field(alias="agent_type")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    per: NotRequired[Annotated[str, Field(alias="per")]]
    stack_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="stack_id")]]
    tokens: NotRequired[Annotated[Optional[int], Field(alias="tokens")]]
    usd: NotRequired[Annotated[Optional[float], Field(alias="usd")]]


class PublicLlmCalls(BaseModel):
    agent_type: str = Field(alias="agent_type")
    ask_hash: Optional[str] = Field(alias="ask_hash")
    attempt: int = Field(alias="attempt")
    cost_usd: float = Field(alias="cost_usd")
    created_at: datetime.datetime = Field(alias="created_at")
    error: Optional[str] = Field(alias="error")
    finish_reason: Optional[str] = Field(alias="finish_reason")
    id: uuid.UUID = Field(alias="id")
    latency_ms: int = Field(alias="latency_ms")
    model: str = Field(alias="model")
    provider: str = Field(alias="provider")
    reply: Optional[str] = Field(alias="reply")
    run_id: uuid.UUID = Field(alias="run_id")
    simulated: bool = Field(alias="simulated")
    stack_id: uuid.UUID = Field(alias="stack_id")
    tokens_cached: int = Field(alias="tokens_cached")
    tokens_in: int = Field(alias="tokens_in")
    tokens_out: int = Field(alias="tokens_out")


class PublicLlmCallsInsert(TypedDict):
    agent_type: Annotated[str, Field(alias="agent_type")]
    ask_hash: NotRequired[Annotated[Optional[str], Field(alias="ask_hash")]]
    attempt: Annotated[int, Field(alias="attempt")]
    cost_usd: NotRequired[Annotated[float, Field(alias="cost_usd")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    error: NotRequired[Annotated[Optional[str], Field(alias="error")]]
    finish_reason: NotRequired[Annotated[Optional[str], Field(alias="finish_reason")]]
    id: Annotated[uuid.UUID, Field(alias="id")]
    latency_ms: NotRequired[Annotated[int, Field(alias="latency_ms")]]
    model: Annotated[str, Field(alias="model")]
    provider: Annotated[str, Field(alias="provider")]
    reply: NotRequired[Annotated[Optional[str], Field(alias="reply")]]
    run_id: Annotated[uuid.UUID, Field(alias="run_id")]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    tokens_cached: NotRequired[Annotated[int, Field(alias="tokens_cached")]]
    tokens_in: NotRequired[Annotated[int, Field(alias="tokens_in")]]
    tokens_out: NotRequired[Annotated[int, Field(alias="tokens_out")]]


class PublicLlmCallsUpdate(TypedDict):
    agent_type: NotRequired[Annotated[str, Field(alias="agent_type")]]
    ask_hash: NotRequired[Annotated[Optional[str], Field(alias="ask_hash")]]
    attempt: NotRequired[Annotated[int, Field(alias="attempt")]]
    cost_usd: NotRequired[Annotated[float, Field(alias="cost_usd")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    error: NotRequired[Annotated[Optional[str], Field(alias="error")]]
    finish_reason: NotRequired[Annotated[Optional[str], Field(alias="finish_reason")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    latency_ms: NotRequired[Annotated[int, Field(alias="latency_ms")]]
    model: NotRequired[Annotated[str, Field(alias="model")]]
    provider: NotRequired[Annotated[str, Field(alias="provider")]]
    reply: NotRequired[Annotated[Optional[str], Field(alias="reply")]]
    run_id: NotRequired[Annotated[uuid.UUID, Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    tokens_cached: NotRequired[Annotated[int, Field(alias="tokens_cached")]]
    tokens_in: NotRequired[Annotated[int, Field(alias="tokens_in")]]
    tokens_out: NotRequired[Annotated[int, Field(alias="tokens_out")]]


class PublicMemories(BaseModel):
    agent_type: str = Field(alias="agent_type")
    content: str = Field(alias="content")
    created_at: datetime.datetime = Field(alias="created_at")
    expires_at: Optional[datetime.datetime] = Field(alias="expires_at")
    id: uuid.UUID = Field(alias="id")
    importance: int = Field(alias="importance")
    kind: str = Field(alias="kind")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    stack_id: uuid.UUID = Field(alias="stack_id")
    updated_at: datetime.datetime = Field(alias="updated_at")
    words: PgCatalogTsvector = Field(alias="words")


class PublicMemoriesInsert(TypedDict):
    agent_type: Annotated[str, Field(alias="agent_type")]
    content: Annotated[str, Field(alias="content")]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    expires_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="expires_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    importance: NotRequired[Annotated[int, Field(alias="importance")]]
    kind: NotRequired[Annotated[str, Field(alias="kind")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    words: NotRequired[Annotated[PgCatalogTsvector, Field(alias="words")]]


class PublicMemoriesUpdate(TypedDict):
    agent_type: NotRequired[Annotated[str, Field(alias="agent_type")]]
    content: NotRequired[Annotated[str, Field(alias="content")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    expires_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="expires_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    importance: NotRequired[Annotated[int, Field(alias="importance")]]
    kind: NotRequired[Annotated[str, Field(alias="kind")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    words: NotRequired[Annotated[PgCatalogTsvector, Field(alias="words")]]


class PublicMessageReads(BaseModel):
    attempts: int = Field(alias="attempts")
    available_at: Optional[datetime.datetime] = Field(alias="available_at")
    last_error: Optional[str] = Field(alias="last_error")
    message_id: uuid.UUID = Field(alias="message_id")
    read_at: Optional[datetime.datetime] = Field(alias="read_at")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    stack_id: uuid.UUID = Field(alias="stack_id")
    status: str = Field(alias="status")


class PublicMessageReadsInsert(TypedDict):
    attempts: NotRequired[Annotated[int, Field(alias="attempts")]]
    available_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="available_at")]]
    last_error: NotRequired[Annotated[Optional[str], Field(alias="last_error")]]
    message_id: Annotated[uuid.UUID, Field(alias="message_id")]
    read_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="read_at")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    status: Annotated[str, Field(alias="status")]


class PublicMessageReadsUpdate(TypedDict):
    attempts: NotRequired[Annotated[int, Field(alias="attempts")]]
    available_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="available_at")]]
    last_error: NotRequired[Annotated[Optional[str], Field(alias="last_error")]]
    message_id: NotRequired[Annotated[uuid.UUID, Field(alias="message_id")]]
    read_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="read_at")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    status: NotRequired[Annotated[str, Field(alias="status")]]


class PublicMessages(BaseModel):
    content: str = Field(alias="content")
    created_at: datetime.datetime = Field(alias="created_at")
    from_agent_type: Optional[str] = Field(alias="from_agent_type")
    from_stack_id: Optional[uuid.UUID] = Field(alias="from_stack_id")
    from_user_name: Optional[str] = Field(alias="from_user_name")
    hop: int = Field(alias="hop")
    id: uuid.UUID = Field(alias="id")
    message_type: str = Field(alias="message_type")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    simulated: bool = Field(alias="simulated")
    to_stack_id: Optional[uuid.UUID] = Field(alias="to_stack_id")


class PublicMessagesInsert(TypedDict):
    content: Annotated[str, Field(alias="content")]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    from_agent_type: NotRequired[Annotated[Optional[str], Field(alias="from_agent_type")]]
    from_stack_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="from_stack_id")]]
    from_user_name: NotRequired[Annotated[Optional[str], Field(alias="from_user_name")]]
    hop: NotRequired[Annotated[int, Field(alias="hop")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    message_type: Annotated[str, Field(alias="message_type")]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    to_stack_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="to_stack_id")]]


class PublicMessagesUpdate(TypedDict):
    content: NotRequired[Annotated[str, Field(alias="content")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    from_agent_type: NotRequired[Annotated[Optional[str], Field(alias="from_agent_type")]]
    from_stack_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="from_stack_id")]]
    from_user_name: NotRequired[Annotated[Optional[str], Field(alias="from_user_name")]]
    hop: NotRequired[Annotated[int, Field(alias="hop")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    message_type: NotRequired[Annotated[str, Field(alias="message_type")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    simulated: NotRequired[Annotated[bool, Field(alias="simulated")]]
    to_stack_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="to_stack_id")]]


class PublicModelBreakers(BaseModel):
    closed_at: Optional[datetime.datetime] = Field(alias="closed_at")
    error: Optional[str] = Field(alias="error")
    failures: int = Field(alias="failures")
    model: str = Field(alias="model")
    open_until: datetime.datetime = Field(alias="open_until")
    opened_at: datetime.datetime = Field(alias="opened_at")
    provider: str = Field(alias="provider")
    state: str = Field(alias="state")
    worker_id: uuid.UUID = Field(alias="worker_id")


class PublicModelBreakersInsert(TypedDict):
    closed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="closed_at")]]
    error: NotRequired[Annotated[Optional[str], Field(alias="error")]]
    failures: NotRequired[Annotated[int, Field(alias="failures")]]
    model: Annotated[str, Field(alias="model")]
    open_until: Annotated[datetime.datetime, Field(alias="open_until")]
    opened_at: Annotated[datetime.datetime, Field(alias="opened_at")]
    provider: Annotated[str, Field(alias="provider")]
    state: Annotated[str, Field(alias="state")]
    worker_id: Annotated[uuid.UUID, Field(alias="worker_id")]


class PublicModelBreakersUpdate(TypedDict):
    closed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="closed_at")]]
    error: NotRequired[Annotated[Optional[str], Field(alias="error")]]
    failures: NotRequired[Annotated[int, Field(alias="failures")]]
    model: NotRequired[Annotated[str, Field(alias="model")]]
    open_until: NotRequired[Annotated[datetime.datetime, Field(alias="open_until")]]
    opened_at: NotRequired[Annotated[datetime.datetime, Field(alias="opened_at")]]
    provider: NotRequired[Annotated[str, Field(alias="provider")]]
    state: NotRequired[Annotated[str, Field(alias="state")]]
    worker_id: NotRequired[Annotated[uuid.UUID, Field(alias="worker_id")]]


class PublicModelLimits(BaseModel):
    model: str = Field(alias="model")
    provider: str = Field(alias="provider")
    requests_per_day: Optional[int] = Field(alias="requests_per_day")
    requests_per_minute: Optional[int] = Field(alias="requests_per_minute")
    tokens_per_day: Optional[int] = Field(alias="tokens_per_day")
    tokens_per_minute: Optional[int] = Field(alias="tokens_per_minute")


class PublicModelLimitsInsert(TypedDict):
    model: Annotated[str, Field(alias="model")]
    provider: Annotated[str, Field(alias="provider")]
    requests_per_day: NotRequired[Annotated[Optional[int], Field(alias="requests_per_day")]]
    requests_per_minute: NotRequired[Annotated[Optional[int], Field(alias="requests_per_minute")]]
    tokens_per_day: NotRequired[Annotated[Optional[int], Field(alias="tokens_per_day")]]
    tokens_per_minute: NotRequired[Annotated[Optional[int], Field(alias="tokens_per_minute")]]


class PublicModelLimitsUpdate(TypedDict):
    model: NotRequired[Annotated[str, Field(alias="model")]]
    provider: NotRequired[Annotated[str, Field(alias="provider")]]
    requests_per_day: NotRequired[Annotated[Optional[int], Field(alias="requests_per_day")]]
    requests_per_minute: NotRequired[Annotated[Optional[int], Field(alias="requests_per_minute")]]
    tokens_per_day: NotRequired[Annotated[Optional[int], Field(alias="tokens_per_day")]]
    tokens_per_minute: NotRequired[Annotated[Optional[int], Field(alias="tokens_per_minute")]]


class PublicProjectIdeas(BaseModel):
    created_at: datetime.datetime = Field(alias="created_at")
    created_by: str = Field(alias="created_by")
    description: str = Field(alias="description")
    id: uuid.UUID = Field(alias="id")
    stack_id: uuid.UUID = Field(alias="stack_id")
    status: str = Field(alias="status")
    title: str = Field(alias="title")
    updated_at: datetime.datetime = Field(alias="updated_at")


class PublicProjectIdeasInsert(TypedDict):
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    created_by: NotRequired[Annotated[str, Field(alias="created_by")]]
    description: NotRequired[Annotated[str, Field(alias="description")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    status: NotRequired[Annotated[str, Field(alias="status")]]
    title: Annotated[str, Field(alias="title")]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicProjectIdeasUpdate(TypedDict):
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    created_by: NotRequired[Annotated[str, Field(alias="created_by")]]
    description: NotRequired[Annotated[str, Field(alias="description")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    status: NotRequired[Annotated[str, Field(alias="status")]]
    title: NotRequired[Annotated[str, Field(alias="title")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicStackAgents(BaseModel):
    agent_type: str = Field(alias="agent_type")
    plays: bool = Field(alias="plays")
    stack_id: uuid.UUID = Field(alias="stack_id")
    updated_at: datetime.datetime = Field(alias="updated_at")


class PublicStackAgentsInsert(TypedDict):
    agent_type: Annotated[str, Field(alias="agent_type")]
    plays: NotRequired[Annotated[bool, Field(alias="plays")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicStackAgentsUpdate(TypedDict):
    agent_type: NotRequired[Annotated[str, Field(alias="agent_type")]]
    plays: NotRequired[Annotated[bool, Field(alias="plays")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicStackSchedule(BaseModel):
    by_hand: bool = Field(alias="by_hand")
    claim: Optional[int] = Field(alias="claim")
    claimed_at: Optional[datetime.datetime] = Field(alias="claimed_at")
    due_at: Optional[datetime.datetime] = Field(alias="due_at")
    fence: int = Field(alias="fence")
    last_executed_at: Optional[datetime.datetime] = Field(alias="last_executed_at")
    lease_expires_at: Optional[datetime.datetime] = Field(alias="lease_expires_at")
    lease_owner: Optional[uuid.UUID] = Field(alias="lease_owner")
    overruns: int = Field(alias="overruns")
    stack_id: uuid.UUID = Field(alias="stack_id")
    total_cycles: int = Field(alias="total_cycles")
    wakes: int = Field(alias="wakes")


class PublicStackScheduleInsert(TypedDict):
    by_hand: NotRequired[Annotated[bool, Field(alias="by_hand")]]
    claim: NotRequired[Annotated[Optional[int], Field(alias="claim")]]
    claimed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="claimed_at")]]
    due_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="due_at")]]
    fence: NotRequired[Annotated[int, Field(alias="fence")]]
    last_executed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_executed_at")]]
    lease_expires_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="lease_expires_at")]]
    lease_owner: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="lease_owner")]]
    overruns: NotRequired[Annotated[int, Field(alias="overruns")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    total_cycles: NotRequired[Annotated[int, Field(alias="total_cycles")]]
    wakes: NotRequired[Annotated[int, Field(alias="wakes")]]


class PublicStackScheduleUpdate(TypedDict):
    by_hand: NotRequired[Annotated[bool, Field(alias="by_hand")]]
    claim: NotRequired[Annotated[Optional[int], Field(alias="claim")]]
    claimed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="claimed_at")]]
    due_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="due_at")]]
    fence: NotRequired[Annotated[int, Field(alias="fence")]]
    last_executed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_executed_at")]]
    lease_expires_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="lease_expires_at")]]
    lease_owner: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="lease_owner")]]
    overruns: NotRequired[Annotated[int, Field(alias="overruns")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    total_cycles: NotRequired[Annotated[int, Field(alias="total_cycles")]]
    wakes: NotRequired[Annotated[int, Field(alias="wakes")]]


class PublicStackStatus(BaseModel):
    activity: JsonValue = Field(alias="activity")
    stack_id: uuid.UUID = Field(alias="stack_id")
    updated_at: datetime.datetime = Field(alias="updated_at")
    wait_kind: Optional[str] = Field(alias="wait_kind")
    wait_reason: Optional[str] = Field(alias="wait_reason")
    wait_until: Optional[datetime.datetime] = Field(alias="wait_until")


class PublicStackStatusInsert(TypedDict):
    activity: NotRequired[Annotated[JsonValue, Field(alias="activity")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    wait_kind: NotRequired[Annotated[Optional[str], Field(alias="wait_kind")]]
    wait_reason: NotRequired[Annotated[Optional[str], Field(alias="wait_reason")]]
    wait_until: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="wait_until")]]


class PublicStackStatusUpdate(TypedDict):
    activity: NotRequired[Annotated[JsonValue, Field(alias="activity")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    wait_kind: NotRequired[Annotated[Optional[str], Field(alias="wait_kind")]]
    wait_reason: NotRequired[Annotated[Optional[str], Field(alias="wait_reason")]]
    wait_until: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="wait_until")]]


class PublicTodos(BaseModel):
    assigned_by: str = Field(alias="assigned_by")
    assigned_to: str = Field(alias="assigned_to")
    attempts: int = Field(alias="attempts")
    available_at: Optional[datetime.datetime] = Field(alias="available_at")
    completed_at: Optional[datetime.datetime] = Field(alias="completed_at")
    content: str = Field(alias="content")
    created_at: datetime.datetime = Field(alias="created_at")
    id: uuid.UUID = Field(alias="id")
    last_error: Optional[str] = Field(alias="last_error")
    priority: int = Field(alias="priority")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    stack_id: uuid.UUID = Field(alias="stack_id")
    status: str = Field(alias="status")
    updated_at: datetime.datetime = Field(alias="updated_at")


class PublicTodosInsert(TypedDict):
    assigned_by: NotRequired[Annotated[str, Field(alias="assigned_by")]]
    assigned_to: NotRequired[Annotated[str, Field(alias="assigned_to")]]
    attempts: NotRequired[Annotated[int, Field(alias="attempts")]]
    available_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="available_at")]]
    completed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="completed_at")]]
    content: Annotated[str, Field(alias="content")]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_error: NotRequired[Annotated[Optional[str], Field(alias="last_error")]]
    priority: NotRequired[Annotated[int, Field(alias="priority")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    status: NotRequired[Annotated[str, Field(alias="status")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicTodosUpdate(TypedDict):
    assigned_by: NotRequired[Annotated[str, Field(alias="assigned_by")]]
    assigned_to: NotRequired[Annotated[str, Field(alias="assigned_to")]]
    attempts: NotRequired[Annotated[int, Field(alias="attempts")]]
    available_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="available_at")]]
    completed_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="completed_at")]]
    content: NotRequired[Annotated[str, Field(alias="content")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_error: NotRequired[Annotated[Optional[str], Field(alias="last_error")]]
    priority: NotRequired[Annotated[int, Field(alias="priority")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    status: NotRequired[Annotated[str, Field(alias="status")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]


class PublicUserMessages(BaseModel):
    answered_at: Optional[datetime.datetime] = Field(alias="answered_at")
    attempts: int = Field(alias="attempts")
    available_at: Optional[datetime.datetime] = Field(alias="available_at")
    content: str = Field(alias="content")
    created_at: datetime.datetime = Field(alias="created_at")
    id: uuid.UUID = Field(alias="id")
    last_error: Optional[str] = Field(alias="last_error")
    response_id: Optional[uuid.UUID] = Field(alias="response_id")
    run_id: Optional[uuid.UUID] = Field(alias="run_id")
    sender_name: str = Field(alias="sender_name")
    stack_id: uuid.UUID = Field(alias="stack_id")
    status: str = Field(alias="status")


class PublicUserMessagesInsert(TypedDict):
    answered_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="answered_at")]]
    attempts: NotRequired[Annotated[int, Field(alias="attempts")]]
    available_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="available_at")]]
    content: Annotated[str, Field(alias="content")]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_error: NotRequired[Annotated[Optional[str], Field(alias="last_error")]]
    response_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="response_id")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    sender_name: NotRequired[Annotated[str, Field(alias="sender_name")]]
    stack_id: Annotated[uuid.UUID, Field(alias="stack_id")]
    status: NotRequired[Annotated[str, Field(alias="status")]]


class PublicUserMessagesUpdate(TypedDict):
    answered_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="answered_at")]]
    attempts: NotRequired[Annotated[int, Field(alias="attempts")]]
    available_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="available_at")]]
    content: NotRequired[Annotated[str, Field(alias="content")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_error: NotRequired[Annotated[Optional[str], Field(alias="last_error")]]
    response_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="response_id")]]
    run_id: NotRequired[Annotated[Optional[uuid.UUID], Field(alias="run_id")]]
    sender_name: NotRequired[Annotated[str, Field(alias="sender_name")]]
    stack_id: NotRequired[Annotated[uuid.UUID, Field(alias="stack_id")]]
    status: NotRequired[Annotated[str, Field(alias="status")]]


class PublicWorkers(BaseModel):
    heartbeat_at: datetime.datetime = Field(alias="heartbeat_at")
    id: uuid.UUID = Field(alias="id")
    name: str = Field(alias="name")
    slots: int = Field(alias="slots")
    started_at: datetime.datetime = Field(alias="started_at")
    stopped_at: Optional[datetime.datetime] = Field(alias="stopped_at")
    version: str = Field(alias="version")


class PublicWorkersInsert(TypedDict):
    heartbeat_at: NotRequired[Annotated[datetime.datetime, Field(alias="heartbeat_at")]]
    id: Annotated[uuid.UUID, Field(alias="id")]
    name: Annotated[str, Field(alias="name")]
    slots: Annotated[int, Field(alias="slots")]
    started_at: NotRequired[Annotated[datetime.datetime, Field(alias="started_at")]]
    stopped_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="stopped_at")]]
    version: Annotated[str, Field(alias="version")]


class PublicWorkersUpdate(TypedDict):
    heartbeat_at: NotRequired[Annotated[datetime.datetime, Field(alias="heartbeat_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    name: NotRequired[Annotated[str, Field(alias="name")]]
    slots: NotRequired[Annotated[int, Field(alias="slots")]]
    started_at: NotRequired[Annotated[datetime.datetime, Field(alias="started_at")]]
    stopped_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="stopped_at")]]
    version: NotRequired[Annotated[str, Field(alias="version")]]


class PublicBudgetsNow(BaseModel):
    agent_type: Optional[str] = Field(alias="agent_type")
    id: uuid.UUID = Field(alias="id")
    per: str = Field(alias="per")
    stack_id: Optional[uuid.UUID] = Field(alias="stack_id")
    tokens: Optional[int] = Field(alias="tokens")
    usd: Optional[float] = Field(alias="usd")
    used_tokens: Optional[int] = Field(alias="used_tokens")
    used_usd: Optional[float] = Field(alias="used_usd")


class PublicSpending(BaseModel):
    agent_type: str = Field(alias="agent_type")
    calls: Optional[int] = Field(alias="calls")
    cost_usd: Optional[float] = Field(alias="cost_usd")
    failed: Optional[int] = Field(alias="failed")
    hour: Optional[datetime.datetime] = Field(alias="hour")
    model: str = Field(alias="model")
    provider: str = Field(alias="provider")
    simulated: bool = Field(alias="simulated")
    stack_id: uuid.UUID = Field(alias="stack_id")
    tokens_cached: Optional[int] = Field(alias="tokens_cached")
    tokens_in: Optional[int] = Field(alias="tokens_in")
    tokens_out: Optional[int] = Field(alias="tokens_out")


class PublicSpendingToday(BaseModel):
    calls: Optional[int] = Field(alias="calls")
    cost_usd: Optional[float] = Field(alias="cost_usd")
    failed: Optional[int] = Field(alias="failed")
    stack_id: uuid.UUID = Field(alias="stack_id")
    tokens_cached: Optional[int] = Field(alias="tokens_cached")
    tokens_in: Optional[int] = Field(alias="tokens_in")
    tokens_out: Optional[int] = Field(alias="tokens_out")
