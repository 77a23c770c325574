-- A signed-in session: $1 session, $2 user, $3 refresh token, $4 method, $5 user agent, $6 address or null.
with started as (
    insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
    values ($1, $2, now(), now(), 'aal1', $5, $6)
),

method as (
    insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
    values (gen_random_uuid(), $1, now(), now(), $4)
),

token as (
    insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, session_id)
    values ('00000000-0000-0000-0000-000000000000', $3, $2::uuid::text, false, now(), now(), $1)
),

identity as (
    update auth.identities set last_sign_in_at = now() where user_id = $2
    returning *
),

signed_in as (
    update auth.users set last_sign_in_at = now(), updated_at = now() where id = $2
    returning *
)

select
    to_jsonb(signed_in) as "user",
    coalesce((select jsonb_agg(to_jsonb(identity) order by identity.created_at) from identity), '[]') as identities,
    floor(extract(epoch from now()))::bigint as signed_in_at
from signed_in
