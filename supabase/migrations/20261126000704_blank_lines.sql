-- A visitor's line of nothing but line breaks, tabs or characters that cannot be seen is as empty as one of spaces.

create function internal.line_said() returns trigger
language plpgsql set search_path = '' as $$
begin
  if regexp_replace(new.content, internal.unseen(), '', 'g') !~ '\S' then
    raise exception 'the message is empty: write something' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger line_said before insert on public.user_messages for each row execute function internal.line_said();

revoke all on function internal.line_said() from public, anon, authenticated;
grant execute on function internal.unseen() to anon, authenticated;
