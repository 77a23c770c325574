-- Replace a session's ($1) refresh token ($2) by its child ($3), and forget tokens that were spent a day ago.
with spent as (
    update auth.refresh_tokens set revoked = true, updated_at = clock_timestamp() where token = $2
    returning instance_id, user_id, session_id
),

forgotten as (
    delete from auth.refresh_tokens
    where session_id = $1 and revoked and updated_at < now() - interval '1 day'
),

used as (
    update auth.sessions set refreshed_at = now() at time zone 'utc', updated_at = now() where id = $1
)

insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
select instance_id, $3, user_id, false, now(), now(), $2, session_id from spent
