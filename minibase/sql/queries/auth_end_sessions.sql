-- Sign a user ($1) out: everywhere, or with $2 'local' only of the session $3, or with 'others' of all but that.
delete from auth.sessions
where user_id = $1
    and case $2::text when 'local' then id = $3::uuid when 'others' then id <> $3::uuid else true end
