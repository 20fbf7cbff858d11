"""What a worker shows of itself: its log, traces and health."""
