-- One user by id ($1), with their identities.
select
    to_jsonb(u) as "user",
    coalesce((select jsonb_agg(to_jsonb(i) order by i.created_at) from auth.identities as i where i.user_id = u.id), '[]') as identities
from auth.users as u
where u.id = $1
