"""What a person reads of a run: the plan before it, its progress, its summary, its status."""
