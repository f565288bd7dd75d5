"""One file per framework. Importing one imports nothing of the framework itself."""
