-- The user a token speaks for ($1), and whether the session it names ($2, may be null) still stands.
select
    to_jsonb(u) as "user",
    coalesce((select jsonb_agg(to_jsonb(i) order by i.created_at) from auth.identities as i where i.user_id = u.id), '[]') as identities,
    $2::uuid is null or exists (
        select from auth.sessions as s
        where s.id = $2 and s.user_id = u.id and (s.not_after is null or s.not_after > now())
    ) as session_stands
from auth.users as u
where u.id = $1 and u.deleted_at is null
