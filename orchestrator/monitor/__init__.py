"""What a running daemon shows to machines that watch it: metrics, health, readiness."""
