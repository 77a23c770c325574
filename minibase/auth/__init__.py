"""Supabase Auth (GoTrue) as far as the official clients need it for people with e-mail and password."""
