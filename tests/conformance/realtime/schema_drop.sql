drop table if exists public.conformance_open, public.conformance_owned, public.conformance_raising;
drop function if exists public.conformance_say(text, int);
drop policy if exists conformance_hear on realtime.messages;
drop policy if exists conformance_say on realtime.messages;
notify pgrst, 'reload schema';
