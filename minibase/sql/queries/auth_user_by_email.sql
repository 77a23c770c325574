-- The user who signs in with an e-mail address ($1, any letter case), with their identities.
select
    to_jsonb(u) as "user",
    coalesce((select jsonb_agg(to_jsonb(i) order by i.created_at) from auth.identities as i where i.user_id = u.id), '[]') as identities
from auth.users as u
where u.email = lower($1) and not u.is_sso_user and u.deleted_at is null
