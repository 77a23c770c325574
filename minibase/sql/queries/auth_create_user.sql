-- A new user ($1 id, $2 role, $3 e-mail or null, $4 password hash or null, $5 confirmed, $6 app and $7 user metadata,
-- $8 end of a ban or null) and, where there is an e-mail, the identity that signs in with it.
with created as (
    insert into auth.users (
        instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
        raw_app_meta_data, raw_user_meta_data, banned_until, is_anonymous, created_at, updated_at
    )
    values (
        '00000000-0000-0000-0000-000000000000', $1, 'authenticated', $2, lower($3), coalesce($4, ''),
        case when $5 then now() end, $6::jsonb, $7::jsonb, $8, $3 is null, now(), now()
    )
    returning *
),

linked as (
    insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
    select
        id::text, id,
        jsonb_build_object('sub', id, 'email', email, 'email_verified', $5::boolean, 'phone_verified', false),
        'email', now(), now()
    from created
    where email is not null
    returning *
)

select
    (select to_jsonb(created) from created) as "user",
    coalesce((select jsonb_agg(to_jsonb(linked)) from linked), '[]') as identities
