"""The documentation says what is true: its commands run, its references are generated, its links lead somewhere."""
