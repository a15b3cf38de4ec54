"""What became of every row: the journal while a run lives, and the files that people read, made from it."""
