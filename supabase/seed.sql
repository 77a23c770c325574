-- Three demo stacks with different ideas, idle: `stackbeat up` plays them on its first start with the simulated model.
insert into public.agent_stacks (id, participant_name, priority) values
  ('00000000-0000-4000-8000-000000000001', 'Night Owls', 5),
  ('00000000-0000-4000-8000-000000000002', 'Paper Boats', 5),
  ('00000000-0000-4000-8000-000000000003', 'Third Shelf', 5)
on conflict (id) do nothing;

insert into public.project_ideas (stack_id, title, description, created_by) values
  ('00000000-0000-4000-8000-000000000001', 'Focus timer for late study sessions',
   'A calm timer that alternates work and rest, counts the rounds of the evening and shows when it is time for bed.', 'seed'),
  ('00000000-0000-4000-8000-000000000002', 'Travel phrase flashcards',
   'Flashcards with everyday phrases for a weekend abroad: flip, mark as known, and come back to the hard ones.', 'seed'),
  ('00000000-0000-4000-8000-000000000003', 'Kitchen unit converter',
   'Converts cups, spoons, ounces and grams while you cook, and remembers the last few conversions.', 'seed')
on conflict (stack_id) do nothing;
