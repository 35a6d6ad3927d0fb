"""Claims of an experiment file: their forms, and checks that what they speak of exists."""
