"""The user's own tables: text files, parquet and arrays of numpy with a target column."""
