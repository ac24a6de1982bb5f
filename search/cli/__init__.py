"""One file a command: it parses, calls and prints, and imports what is heavy when it is called."""
