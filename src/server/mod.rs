//! HTTP in: accepts, reads, bounds, times and parses HTTP/1.1, and writes answers. Knows nothing of language models.
