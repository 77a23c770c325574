-- Plans that stay good when the tables have filled.
--
-- The verbs keep their plans as long as their connection lives, and a fresh project's are made on empty tables, where reading
-- a whole table is the cheapest way to find a row. Until the next ANALYZE a claim then read all messages and all states for each
-- stack it showed: a third of what the database spent on a run. Whatever a verb looks up has an index, so it goes by that, however
-- small the table was. Where a table is read as a whole by right, one row a stack, the planner stays free.

alter function internal.sight(uuid[], integer, timestamptz) set enable_seqscan = off;
alter function public.begin_runs(jsonb) set enable_seqscan = off;
alter function public.commit_runs(jsonb) set enable_seqscan = off;
alter function internal.next_wake(timestamptz) set enable_seqscan = on;
