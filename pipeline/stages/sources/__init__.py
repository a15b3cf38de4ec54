"""Files that contacts come from, each kind to pieces of text rows."""
