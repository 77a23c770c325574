-- Schema realtime: messages from the database, and the publications realtime streams.

create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(),
    binary_payload bytea,
    primary key (id, inserted_at),
    constraint one_payload check (payload is null or binary_payload is null)
) partition by range (inserted_at);
alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
create index messages_topic_idx on realtime.messages (topic, inserted_at desc) where private and extension = 'broadcast';
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
grant all on realtime.messages to postgres, dashboard_user;

-- One partition a day, from yesterday (a session may live in a time zone behind ours) to three days ahead; older than
-- three days is dropped. Called at start and every few hours while minibase runs.
create function realtime.keep_partitions(today date default current_date) returns void
language plpgsql security definer set search_path = ''
as $$
declare
    day date;
    stale regclass;
begin
    for day in select generate_series(today - 1, today + 3, interval '1 day') loop
        if to_regclass(format('realtime.messages_%s', to_char(day, 'YYYY_MM_DD'))) is null then
            execute format(
                'create table realtime.%I partition of realtime.messages for values from (%L) to (%L)',
                'messages_' || to_char(day, 'YYYY_MM_DD'), day, day + 1
            );
            execute format(
                'alter table realtime.%I owner to supabase_realtime_admin', 'messages_' || to_char(day, 'YYYY_MM_DD')
            );
        end if;
    end loop;
    for stale in
        select inhrelid from pg_catalog.pg_inherits
        join pg_catalog.pg_class on pg_class.oid = inhrelid
        where inhparent = 'realtime.messages'::regclass
          and relname ~ '^messages_\d{4}_\d\d_\d\d$'
          and to_date(substr(relname, 10), 'YYYY_MM_DD') < today - 3
    loop
        execute format('drop table %s', stale);
    end loop;
end
$$;
revoke all on function realtime.keep_partitions(date) from public, postgres, dashboard_user;
select realtime.keep_partitions();

create function realtime.topic() returns text
language sql stable
return nullif(current_setting('realtime.topic', true), '');

-- A broadcast is an extra: it must never make the caller's own change fail, hence the warning.
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql
as $$
#variable_conflict use_variable
declare
    message_id uuid := gen_random_uuid();
    body jsonb := payload;
begin
    if jsonb_typeof(payload) = 'object' and not payload ? 'id' then
        body := payload || jsonb_build_object('id', message_id);
    end if;
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (message_id, body, event, topic, private, 'broadcast');
exception
    when others then
        raise warning 'realtime.send to topic % was dropped: %', topic, sqlerrm;
end
$$;

create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql
as $$
#variable_conflict use_variable
begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (binary_payload, event, topic, private, extension)
    values (payload, event, topic, private, 'broadcast');
exception
    when others then
        raise warning 'realtime.send_binary to topic % was dropped: %', topic, sqlerrm;
end
$$;

create function realtime.broadcast_changes(
    topic_name text, event_name text, operation text, table_name text, table_schema text,
    new record, old record, level text default 'ROW'
) returns void
language plpgsql
as $$
begin
    if level is distinct from 'ROW' then
        raise exception 'realtime.broadcast_changes works for row-level triggers only, not for level %', level
            using hint = 'Declare the trigger FOR EACH ROW.';
    end if;
    if operation is null or operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'realtime.broadcast_changes does not know the operation %', operation
            using hint = 'Pass TG_OP of an INSERT, UPDATE or DELETE trigger.';
    end if;
    perform realtime.send(
        jsonb_build_object(
            'old_record', case when operation <> 'INSERT' then to_jsonb(old) end,
            'record', case when operation <> 'DELETE' then to_jsonb(new) end,
            'operation', operation,
            'table', table_name,
            'schema', table_schema
        ),
        event_name, topic_name, true
    );
end
$$;

grant execute on function
    realtime.topic(),
    realtime.send(jsonb, text, text, boolean),
    realtime.send_binary(bytea, text, text, boolean),
    realtime.broadcast_changes(text, text, text, text, text, record, record, text)
to anon, authenticated, service_role, postgres, dashboard_user;

-- Empty: migrations add their tables, as the owner.
create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;
create publication supabase_realtime_messages_publication for table realtime.messages
    with (publish = 'insert', publish_via_partition_root = true);
