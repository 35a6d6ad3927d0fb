"""Tables in text files: how they are packed, encoded, separated, headed, and how their numbers are written."""
