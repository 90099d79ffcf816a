//! OpenAI's rows of the dialect table.
