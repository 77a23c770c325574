-- Data that comes from another Supabase is loaded without its triggers and foreign keys firing anew. As on hosted Supabase,
-- `postgres` may say so for its session.
grant set on parameter session_replication_role to postgres;
