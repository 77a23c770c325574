-- The newest broadcasts of a private topic since a moment, oldest first, as the text values that the log would carry.
select id, topic, extension, event, payload, binary_payload, private
from (
    select
        id::text, topic, extension, event, payload::text, binary_payload::text,
        case when private then 't' else 'f' end as private, inserted_at
    from realtime.messages
    where topic = $1 and private and extension = 'broadcast'
        and inserted_at >= to_timestamp($2::int8 / 1000.0) at time zone 'UTC'
        and inserted_at >= now() at time zone 'UTC' - interval '3 days'
        and (expires_at is null or expires_at > now() at time zone 'UTC')
    order by realtime.messages.inserted_at desc
    limit $3
) as newest
order by inserted_at;
