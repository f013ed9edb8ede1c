"""One module per published or private file format: rows in, problems out."""
