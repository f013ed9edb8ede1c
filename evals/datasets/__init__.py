"""Who reads which published or private file: rows in, problems out."""
