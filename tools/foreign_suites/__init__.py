"""Other projects' own test suites, run without and with the library."""
