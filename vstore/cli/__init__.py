"""The command line: options to the api, results to words.  The only room that knows a terminal."""
