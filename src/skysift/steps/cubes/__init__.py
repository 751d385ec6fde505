"""Steps of analyses of counts cubes: thin wrappers that read files, call the library and write files."""
