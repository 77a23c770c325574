"""The keys that the Supabase CLI's config.toml can have, as far as it takes to notice a slip of the pen.

Only the sections that minibase reads are listed key by key. Anything below a name that is listed here without a section
of its own is the CLI's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KNOWN: Mapping[str, frozenset[str]] = {
    "": _names(
        "project_id api db auth realtime studio storage inbucket local_smtp edge_runtime functions analytics "
        "experimental remotes"
    ),
    "api": _names("enabled port schemas extra_search_path max_rows auto_expose_new_tables external_url tls"),
    "realtime": _names(
        "enabled ip_version max_header_length max_concurrent_users max_joins_per_second max_events_per_second "
        "max_presence_events_per_second max_client_presence_events_per_window client_presence_window_ms "
        "max_channels_per_client max_payload_size_in_kb max_seconds_silent max_seconds_without_channel private_only"
    ),
    "db": _names(
        "port shadow_port health_timeout major_version orioledb_version root_key pooler vault settings migrations seed "
        "network_restrictions ssl_enforcement"
    ),
    "db.migrations": _names("enabled schema_paths"),
    "db.seed": _names("enabled sql_paths"),
    "auth": _names(
        "enabled site_url external_url additional_redirect_urls jwt_expiry jwt_issuer jwt_secret anon_key "
        "service_role_key publishable_key secret_key signing_keys_path enable_signup enable_anonymous_sign_ins "
        "enable_manual_linking enable_refresh_token_rotation refresh_token_reuse_interval minimum_password_length "
        "password_requirements rate_limit captcha hook mfa passkey webauthn sessions email sms external web3 "
        "third_party oauth_server"
    ),
    "auth.email": _names(
        "enabled enable_signup double_confirm_changes enable_confirmations secure_password_change max_frequency "
        "otp_length otp_expiry smtp template notification"
    ),
}


def find_unknown(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Dotted names of keys that nobody is known to read, each with the one that may have been meant."""
    return tuple(_unknown_below("", document))


def _unknown_below(section: str, values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        name = f"{section}.{key}" if section else key
        if key not in _KNOWN[section]:
            similar = get_close_matches(key, sorted(_KNOWN[section]), n=1, cutoff=0.75)
            yield f"{name} (is {similar[0]} meant?)" if similar else name
        elif name in _KNOWN and isinstance(value, Mapping):
            yield from _unknown_below(name, value)
