"""Accuracies of four ways to tune a decision tree on 14 data sets, of a published comparison, with what it says of them.

Reference: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, Journal of Machine Learning Research 7, 2006,
tables 2 and 6.
"""

from __future__ import annotations

C45 = (0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957)
C45_M = (0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978)
C45_CF = (0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946)
# He ranks the two ways on the last but one data set 2 and 3, by digits that his table has not: so do these.
C45_M_CF = (0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.9750, 0.970)
# Table 6: mean ranks; the text below it: Friedman's chi-squared and F without a correction for ties, and the critical difference.
MEAN_RANKS = (3.143, 2.000, 2.893, 1.964)
CHI_SQUARED, F, CRITICAL_DIFFERENCE = 9.28, 3.69, 1.25
# Table 5: the quantiles of two-tailed Nemenyi tests at 5%, of two to ten conditions.
NEMENYI = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
