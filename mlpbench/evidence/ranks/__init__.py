"""Statistics by ranks, over data sets: the signed-rank test of one number each, and ranks of several conditions."""
