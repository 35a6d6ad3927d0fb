"""The user's own tables: csv, parquet and npz files with a target column."""
