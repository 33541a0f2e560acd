"""Real processes on one bucket for minutes: who pushes, pulls and collects is killed at random, and time leaps."""
