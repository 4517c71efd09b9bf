"""The tests of the SDK that are not run with `StoredSession` in place, by name, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SQLITE = "tests/memory/test_session.py"
_ASYNC_SQLITE = "tests/extensions/memory/test_async_sqlite_session.py"
_SQLALCHEMY = "tests/extensions/memory/test_sqlalchemy_session.py"
_ENCRYPTED = "tests/extensions/memory/test_encrypt_session.py"
_SUFFIX = "tests/memory/test_compaction_suffix.py"
_SQLALCHEMY_SUFFIX = "tests/memory/test_sqlalchemy_compaction.py"
_COMPACTION = "tests/memory/test_openai_responses_compaction_session.py"
_RESUME = "tests/test_run_impl_resume_paths.py"

_CONNECTIONS = "looks at the connections, locks and threads of SQLiteSession"
_SCHEMA = "reads or breaks the tables of the SDK's own store"
_FAKED = "puts fakes in the place of the SDK's SQLAlchemy session or of its connection"
_CLOSED = (
    "is about the connection that an AsyncSQLiteSession or SQLiteSession owns and closes; a StoredSession owns none"
)
_ENGINE = "is about the engine that SQLAlchemySession exposes"
_SQLITE_ONLY = "is about what EncryptedSession promises for SQLiteSession alone, which it knows by its type"

_LIST = "reads the private list of SimpleListSession"

_IN_BOTH: Final[Mapping[str, Mapping[str, str]]] = {
    _SQLITE: {
        "test_sqlite_session_close_closes_worker_thread_connections": _CONNECTIONS,
        "test_sqlite_session_closed_rejects_empty_add_items": _CLOSED,
        "test_sqlite_session_pop_item_skips_corrupt_most_recent": _SCHEMA,
        "test_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows": _SCHEMA,
        "test_sqlite_session_get_items_limit_skips_corrupt_newest_rows": _SCHEMA,
        "test_sqlite_session_get_items_session_settings_limit_skips_corrupt_rows": _SCHEMA,
        "test_sqlite_session_file_lock_is_shared_across_instances": _CONNECTIONS,
        "test_sqlite_session_failed_add_items_releases_write_lock": _SCHEMA,
        "test_sqlite_session_failed_clear_session_rolls_back": _SCHEMA,
        "test_sqlite_session_failed_pop_item_releases_write_lock": _SCHEMA,
        "test_sqlite_session_rollback_failure_evicts_connection": _CONNECTIONS,
        "test_sqlite_session_close_retries_quarantined_connection": _CONNECTIONS,
        "test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome": _CONNECTIONS,
    },
    _ASYNC_SQLITE: {
        "test_async_sqlite_session_pop_item_skips_corrupt_most_recent": _SCHEMA,
        "test_async_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows": _SCHEMA,
        "test_async_sqlite_session_get_items_limit_skips_corrupt_newest_rows": _SCHEMA,
        "test_async_sqlite_session_get_items_same_timestamp_consistent_order": _SCHEMA,
        "test_async_sqlite_session_pop_item_same_timestamp_returns_latest": _SCHEMA,
        "test_async_sqlite_session_closed_operations_raise_runtime_error": _CLOSED,
        "test_async_sqlite_session_closed_rejects_empty_add_items": _CLOSED,
        "test_async_sqlite_session_close_before_use_is_terminal": _CLOSED,
        "test_async_sqlite_session_close_is_idempotent": _CLOSED,
        "test_cancelled_close_finishes_cleanup_and_propagates_cancellation": _CLOSED,
        "test_post_commit_cancellation_propagates_after_known_mutation_outcome": _FAKED,
        "test_failed_add_items_rolls_back_and_reuses_connection": _SCHEMA,
        "test_failed_clear_session_rolls_back": _SCHEMA,
        "test_failed_pop_item_releases_write_lock": _SCHEMA,
        "test_failed_initialization_closes_candidate_connection": _FAKED,
        "test_cancelled_add_items_rolls_back_write_transaction": _FAKED,
        "test_operation_failure_then_cancellation_during_rollback": _FAKED,
        "test_rollback_failure_closes_and_evicts_connection": _FAKED,
        "test_close_retries_connection_quarantined_after_rollback_failure": _FAKED,
        "test_close_retries_quarantined_failed_initialization_candidate": _FAKED,
        "test_cancelled_initialization_finishes_candidate_close": _FAKED,
        "test_initialization_failure_then_cancellation_during_candidate_close": _FAKED,
        "test_cancelled_connect_closes_eventually_acquired_connection": _FAKED,
    },
    _SQLALCHEMY: {
        "test_sqlalchemy_session_defaults_to_escaped_non_ascii_storage": _SCHEMA,
        "test_sqlalchemy_session_can_store_non_ascii_without_escaping": _SCHEMA,
        "test_sqlite_fallback_reserves_writer_before_tail_claim": _ENGINE,
        "test_pop_item_supports_unknown_delete_rowcount": _FAKED,
        "test_pop_item_retries_returning_claim_lost_to_concurrent_delete": _FAKED,
        "test_mutation_cancellation_waits_for_transaction_exit": _FAKED,
        "test_pop_item_skips_corrupt_most_recent": _SCHEMA,
        "test_get_items_limit_skips_corrupt_newest_rows": _SCHEMA,
        "test_pop_item_returns_none_after_dropping_only_corrupt_rows": _SCHEMA,
        "test_add_items_waits_for_transient_sqlite_write_lock": _ENGINE,
        "test_add_items_cancelled_waiter_does_not_strand_table_init_lock": _CONNECTIONS,
        "test_create_tables_false_does_not_allocate_shared_init_lock": _CONNECTIONS,
        "test_get_items_same_timestamp_consistent_order": _SCHEMA,
        "test_pop_item_same_timestamp_returns_latest": _SCHEMA,
        "test_get_items_orders_by_id_for_ties": _FAKED,
        "test_engine_property_from_url": _ENGINE,
        "test_engine_property_from_external_engine": _ENGINE,
        "test_engine_property_is_read_only": _ENGINE,
        "test_sqlite_configuration_registry_releases_collected_engines": _CONNECTIONS,
        "test_sqlite_configuration_registry_does_not_grow_unbounded": _CONNECTIONS,
    },
    _COMPACTION: {
        "TestOpenAIResponsesCompactionSession::"
        "test_run_compaction_restores_history_when_cancelled_again_during_restore": _LIST,
    },
}

_IN_THE_NEWER: Final[Mapping[str, Mapping[str, str]]] = {
    _SQLITE: {
        "test_sqlite_session_reaps_connections_from_exited_worker_threads": _CONNECTIONS,
        "test_sqlite_session_closes_retired_connections_before_the_next_allocation": _CONNECTIONS,
        "test_sqlite_session_keeps_connections_of_live_worker_threads": _CONNECTIONS,
    },
    _ASYNC_SQLITE: {
        "test_initialization_retries_transient_wal_lock": _FAKED,
        "test_initialization_releases_wal_cursor_before_schema_write": _FAKED,
        "test_initialization_does_not_retry_unrecoverable_wal_errors": _FAKED,
        "test_cancelled_wal_retry_closes_startup_connection": _FAKED,
    },
    _ENCRYPTED: {
        "test_encrypted_session_scan_budget_does_not_turn_redis_negative_limit_into_history": "is about RedisSession",
        "test_encrypted_pop_wrong_key_preserves_recoverable_history": _SQLITE_ONLY,
        "test_encrypted_pop_rechecks_authentication_after_expired_tail": _SQLITE_ONLY,
        "test_encrypted_pop_authentication_is_atomic_with_concurrent_mutations": _SQLITE_ONLY,
        "test_encrypted_pop_wrong_key_preserves_row_identity": _SQLITE_ONLY,
        "test_encrypted_pop_cancellation_waits_for_authentication_rollback": _SQLITE_ONLY,
    },
    _SUFFIX: {
        "test_suffix_transaction_rolls_back_failed_insert": _SCHEMA,
        "test_cancelled_suffix_transaction_settles_before_newer_append": _FAKED,
        "test_failed_encrypted_suffix_transaction_preserves_original_tokens": _SCHEMA,
    },
    _SQLALCHEMY_SUFFIX: {
        "test_encrypted_prefix_cleanup_is_atomic[file-True": _SCHEMA,
        "test_encrypted_prefix_cleanup_is_atomic[memory-True": _SCHEMA,
        "test_replacement_uses_timestamp_order_not_id_order": _SCHEMA,
        "test_cancelled_replacement_settles_before_other_instance_append": _FAKED,
        "test_failed_replacement_preserves_history_during_other_instance_access": _FAKED,
        "test_parent_constraint_rejection_propagates": _SCHEMA,
    },
    _COMPACTION: {
        "TestOpenAIResponsesCompactionSession::test_settled_pop_failure_invalidates_response_chain": _CONNECTIONS,
        "TestOpenAIResponsesCompactionSession::test_settled_clear_failure_invalidates_response_chain": _CONNECTIONS,
    },
    _RESUME: {
        "test_handoff_resume_after_cancelled_compaction_commits": _FAKED,
    },
}

LEFT_OUT: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "0.21.0": _IN_BOTH,
    "0.24.0": {
        file: {**_IN_BOTH.get(file, {}), **_IN_THE_NEWER.get(file, {})} for file in {**_IN_BOTH, **_IN_THE_NEWER}
    },
}
"""By the version of the tests, and by file."""
