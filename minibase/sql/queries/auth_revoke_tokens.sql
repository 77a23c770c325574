-- End every refresh token of a session ($1): one of them was used by two parties.
update auth.refresh_tokens set revoked = true, updated_at = now() where session_id = $1 and not revoked
