-- Change what is given of one user ($1): $2 e-mail, $3 password hash, $4 confirm the e-mail, $5/$6 app metadata to set
-- and keys to remove, $7/$8 the same of user metadata, $9 whether to change the ban and $10 its end, $11 role.
with changed as (
    update auth.users set
        email = coalesce(lower($2), email),
        encrypted_password = coalesce($3, encrypted_password),
        email_confirmed_at = case when $4 then coalesce(email_confirmed_at, now()) else email_confirmed_at end,
        raw_app_meta_data = (
            case when is_anonymous and $2 is not null then '{"provider": "email", "providers": ["email"]}'::jsonb else '{}' end
            || coalesce(raw_app_meta_data, '{}') || $5::jsonb
        ) - $6::text[],
        raw_user_meta_data = (coalesce(raw_user_meta_data, '{}') || $7::jsonb) - $8::text[],
        banned_until = case when $9 then $10 else banned_until end,
        role = coalesce($11, role),
        is_anonymous = is_anonymous and $2 is null,
        updated_at = now()
    where id = $1
    returning *
),

relinked as (
    insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
    select
        id::text, id,
        jsonb_build_object('sub', id, 'email', email, 'email_verified', email_confirmed_at is not null, 'phone_verified', false),
        'email', now(), now()
    from changed
    where email is not null and ($2 is not null or $4)
    on conflict (provider_id, provider) do update set
        identity_data = auth.identities.identity_data || excluded.identity_data,
        updated_at = now()
    returning *
)

select
    to_jsonb(changed) as "user",
    coalesce(
        (
            select jsonb_agg(to_jsonb(i) order by i.created_at)
            from (
                select * from relinked
                union all
                select * from auth.identities where user_id = $1 and id not in (select id from relinked)
            ) as i
        ),
        '[]'
    ) as identities
from changed
