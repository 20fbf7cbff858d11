"""The command line: parser, options, and how errors are shown."""
