"""Training. Each task has its own framework; the two never share a process."""
