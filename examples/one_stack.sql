-- One stack by SQL alone: paste it block by block into a SQL editor, or into `minibase psql`. Each block may be run again;
-- between blocks, the daemon works.

-- 1. Create it, with an idea of yours.
with stack as (
  insert into agent_stacks (participant_name) values ('By SQL') returning id
)
insert into project_ideas (stack_id, title, description)
  select id, 'Tea timer', 'Counts down for green, black and herbal tea, and rings.' from stack;

-- 2. Play it. The daemon hears of the changed row and claims the stack at once.
update agent_stacks set execution_state = 'running' where participant_name = 'By SQL';

-- 3. Add a todo. The builder takes it in its turn: 10 is the most urgent.
insert into todos (stack_id, content, priority)
  select id, 'A button that adds one minute.', 10 from agent_stacks where participant_name = 'By SQL';

-- 4. Say something as a visitor: with the rights of anybody who has the publishable key.
begin;
set local role anon;
insert into user_messages (stack_id, sender_name, content)
  select id, 'Ada', 'What are you building?' from agent_stacks where participant_name = 'By SQL';
commit;

-- 5. Look: what the agents thought and did, and what the visitor was answered.
select t.created_at, t.agent_type, t.action, t.thought
  from agent_traces t join agent_stacks a on a.id = t.stack_id
  where a.participant_name = 'By SQL' order by t.id;

select u.sender_name, u.content, u.status, m.content as answer
  from user_messages u left join messages m on m.id = u.response_id join agent_stacks a on a.id = u.stack_id
  where a.participant_name = 'By SQL' order by u.created_at;

-- 6. Pause it: what runs may still land, nothing new begins. Then see why it waits.
update agent_stacks set execution_state = 'paused' where participant_name = 'By SQL';

select a.execution_state, s.wait_reason
  from agent_stacks a join stack_status s on s.stack_id = a.id where a.participant_name = 'By SQL';

-- 7. Play it again, and retry the todos that failed three times. Their reasons are in last_error.
update agent_stacks set execution_state = 'running' where participant_name = 'By SQL';

update todos set status = 'pending'
  where status = 'failed' and stack_id = (select id from agent_stacks where participant_name = 'By SQL');

-- 8. What it cost so far. The ledger stays when the stack is deleted.
select count(*) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out, sum(cost_usd) as usd
  from llm_calls c join agent_stacks a on a.id = c.stack_id where a.participant_name = 'By SQL';

-- 9. Delete it, and everything that belongs to it but the ledger.
delete from agent_stacks where participant_name = 'By SQL';
