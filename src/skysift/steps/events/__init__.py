"""Steps of event analyses: each reads files, calls the library, writes files."""
