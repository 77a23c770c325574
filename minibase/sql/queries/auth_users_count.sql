-- How many users there are.
select count(*) from auth.users
