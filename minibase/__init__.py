"""An embedded Supabase-compatible stack over a real Postgres; knows nothing of stacks or agents."""
