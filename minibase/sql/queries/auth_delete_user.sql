-- Remove a user ($1) with sessions and identities; gives the id back where there was one.
delete from auth.users where id = $1 returning id
