-- A broadcast that its sender wants kept may say for how long. Replays leave out what has expired; its partition takes it
-- away with the rest of its day.
alter table realtime.messages add column if not exists expires_at timestamp;
