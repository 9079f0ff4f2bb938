"""Invented recall texts in the language of notices, and what a person reads in them.

Firms, products and numbers are made up. A pair is (NDC, lot, expiry); `flagged` names the texts
that a person must be shown.
"""

from typing import NamedTuple

ONE = "Examplol Tablets, 5 mg, 30-count bottle, Rx only, Sample Labs, Anytown, OH. NDC 99001-123-30"
NONE = "Sample cream, 2 oz jar, compounded by Corner Pharmacy, Anytown, OH 44999"
TWO = (
    "Examplol Tablets, 5 mg, a) 30-count bottle (NDC 99001-123-30), "
    "b) 100-count bottle (NDC 99001-123-01), Rx only"
)
N30, N100 = "99001-123-30", "99001-123-01"


class Example(NamedTuple):
    """One notice; `all_lots` is what the notice says, not what follows from it."""

    name: str
    description: str
    codes: str
    pairs: tuple[tuple[str | None, str, str | None], ...]
    all_lots: bool = False
    flagged: tuple[str, ...] = ()


def plain(name: str, codes: str, *pairs: tuple[str, str | None]) -> Example:
    """Return a notice of one NDC without doubts."""
    return Example(name, ONE, codes, tuple((N30, lot, expiry) for lot, expiry in pairs))


DATES = (
    plain("slashes", "Lot #: QX101, Exp 7/31/2027", ("QX101", "2027-07-31")),
    plain("month and year", "Lot: QX101; Exp. 09/27", ("QX101", "2027-09")),
    plain("blank inside", "Lot QX101 Exp 02/ 2027", ("QX101", "2027-02")),
    plain("year first", "Batch QX101, Exp 2027.03.04", ("QX101", "2027-03-04")),
    plain("year and month", "Batch QX101, Exp 2027/03", ("QX101", "2027-03")),
    plain("year dash month", "Batch QX101, Exp 2027-03", ("QX101", "2027-03")),
    plain("dashes", "Lot QX101 EXP 06-2027", ("QX101", "2027-06")),
    plain("dashed day", "Lot QX101 EXP 06-15-27", ("QX101", "2027-06-15")),
    plain("day first", "Lot QX101 Exp 25/12/2027", ("QX101", "2027-12-25")),
    plain("named", "Lot QX101, Expiry: December 2027.", ("QX101", "2027-12")),
    plain("named day", "Lot QX101, Exp November, 30, 2027", ("QX101", "2027-11-30")),
    plain("named dashed day", "Lot QX101, Exp Dec-31-27", ("QX101", "2027-12-31")),
    plain("day before name", "Lot QX101, Exp 07-Jul-2027", ("QX101", "2027-07-07")),
    plain("glued", "Lot QX101, Exp 1JUL2027", ("QX101", "2027-07-01")),
    plain("glued without word", "Lot QX101, 1JUL2027", ("QX101", "2027-07-01")),
    plain("year before name", "Lot QX101, Exp 2027 OCT 31", ("QX101", "2027-10-31")),
    plain("year and name", "Lot QX101, Exp 2027-OCT", ("QX101", "2027-10")),
    plain("colon in month", "Lot QX101, Exp. May: 2027", ("QX101", "2027-05")),
    plain("eight digits", "Lot QX101, Exp 20270731", ("QX101", "2027-07-31")),
    plain("six digits", "Lot QX101, Exp 202707", ("QX101", "2027-07")),
    plain("digits with blanks", "Lot QX101, Exp 07 31 2027", ("QX101", "2027-07-31")),
    plain("month year with blank", "Lot QX101, Exp 07 2027", ("QX101", "2027-07")),
    plain("four digits", "Lot QX101, Exp 0727", ("QX101", "2027-07")),
    plain("glued word", "Lot QX101, Exp06/27", ("QX101", "2027-06")),
    plain("use by", "Lot 7701, Use by 8/17/27", ("7701", "2027-08-17")),
    plain("discard", "Lot: 7701 Discard after: 5/20/2027", ("7701", "2027-05-20")),
    plain("beyond use", "Lot 7701, Do Not Use Beyond: 03/22/2027", ("7701", "2027-03-22")),
    plain("no expiry", "Lot: 7701, No EXP Date", ("7701", None)),
    plain("unknown expiry", "Lot: 7701, Exp date unknown", ("7701", None)),
    plain(
        "made on", 'Lot 7701, BUD 3/2/2027, "Compounded on May 21, 2026"', ("7701", "2027-03-02")
    ),
    plain("misspelt", "Lot QX101, Ex p 7/7/2027", ("QX101", "2027-07-07")),
    plain(
        "date word glued to lot",
        "Lot AB12 Exp 8/27Lot CD34 Exp 9/27",
        ("AB12", "2027-08"),
        ("CD34", "2027-09"),
    ),
)

LISTS = (
    plain(
        "shared expiry",
        "Lot #: QX101, QX102 and QX103, Exp 08/27; QX104, Exp 09/27",
        ("QX101", "2027-08"),
        ("QX102", "2027-08"),
        ("QX103", "2027-08"),
        ("QX104", "2027-09"),
    ),
    plain(
        "expiry first",
        "Exp 08/27: QX101, QX102; Exp 09/27: QX103",
        ("QX101", "2027-08"),
        ("QX102", "2027-08"),
        ("QX103", "2027-09"),
    ),
    plain(
        "as many dates as lots",
        "Lots QX101, QX102, Exp 08/27 and 09/27 respectively",
        ("QX101", "2027-08"),
        ("QX102", "2027-09"),
    ),
    plain(
        "the same date twice",
        "Lots QX1, QX2, QX3 Exp 08/27 (08/2027)",
        ("QX1", "2027-08"),
        ("QX2", "2027-08"),
        ("QX3", "2027-08"),
    ),
    plain(
        "no word for lot",
        "C20129, Exp 08/27; C20130, Exp 09/27",
        ("C20129", "2027-08"),
        ("C20130", "2027-09"),
    ),
    plain("table", "16H21A 08/2027 16H22A 09/2027", ("16H21A", "2027-08"), ("16H22A", "2027-09")),
    plain(
        "product before each lot",
        "Examplol 5mg vial AE41 02/2027 Examplol 5mg vial CA02B 03/2027",
        ("AE41", "2027-02"),
        ("CA02B", "2027-03"),
    ),
    plain(
        "parentheses", "Lots 72493 (5/27), 75241 (7/27)", ("72493", "2027-05"), ("75241", "2027-07")
    ),
    plain(
        "lot and date with a colon",
        "Lot:Expiry - 0804.1B-1:07/27; 0804.2B-1:08/27",
        ("0804.1B-1", "2027-07"),
        ("0804.2B-1", "2027-08"),
    ),
    plain(
        "lot and date with a slash",
        "4920003A/May-27 4920004A/Jun-27",
        ("4920003A", "2027-05"),
        ("4920004A", "2027-06"),
    ),
    plain(
        "date and lot with a colon",
        "Expiry, lot: 11/30/2027: 7258177; 2/28/2028: 7212260",
        ("7258177", "2027-11-30"),
        ("7212260", "2028-02-28"),
    ),
    plain(
        "letters only",
        "Lot #: SAC, Exp 1/27; SLK, Exp 12/27",
        ("SAC", "2027-01"),
        ("SLK", "2027-12"),
    ),
    plain(
        "letters without comma",
        "Lot #: AXPS AXLS, Exp 1/27",
        ("AXPS", "2027-01"),
        ("AXLS", "2027-01"),
    ),
    plain(
        "commas without blanks",
        "Batch #: 1508803,1602801, Exp 08/27",
        ("1508803", "2027-08"),
        ("1602801", "2027-08"),
    ),
    plain(
        "three digits",
        "Lot# 001,002,003, Exp 08/27",
        ("001", "2027-08"),
        ("002", "2027-08"),
        ("003", "2027-08"),
    ),
    plain("twice", "Lot 12B001 Exp 01/27; Lot 12B001 Exp 01/27", ("12B001", "2027-01")),
    plain(
        "repeated without expiry",
        "Lots 5M02 Exp 10/27. *Lots 5M02 lack a label",
        ("5M02", "2027-10"),
    ),
    plain(
        "two slashed lots",
        "Lots AB12345/AB12346 Exp 10/27",
        ("AB12345", "2027-10"),
        ("AB12346", "2027-10"),
    ),
    plain("code", "Codes: L084A13A, L095F13A", ("L084A13A", None), ("L095F13A", None)),
    plain(
        "container words",
        "Lot #: Patch 453658; Carton 453658A, Exp 09/27",
        ("453658", "2027-09"),
        ("453658A", "2027-09"),
    ),
    plain(
        "count in plural", "Lot # 5210546, exp 3/31/2027, 30's Bottle", ("5210546", "2027-03-31")
    ),
    plain(
        "thousands are a quantity",
        "Lot 5210546, 1,200 bottles, exp 3/31/2027",
        ("5210546", "2027-03-31"),
    ),
    plain("percent", "Examplol-0.9% bags, Lot 5210546", ("5210546", None)),
    plain(
        "manufacturer's",
        "Manufacturer's lot # 20260320, exp. March 2027 Item # TCM004",
        ("20260320", "2027-03"),
    ),
    plain("original alone", "Original lot # R5307, exp. March 2027", ("R5307", "2027-03")),
)

LOTS = (
    plain(
        "at",
        "t12192026@8, 08012026@35 BUD: 1/28/2027",
        ("t12192026@8", "2027-01-28"),
        ("08012026@35", "2027-01-28"),
    ),
    plain("colon and at", "Lot 04162026:77@4, Exp 6/8/2027", ("04162026:77@4", "2027-06-08")),
    plain(
        "colon, blank and at",
        "Lot: 04052026:  39@6, Exp 6/8/2027",
        ("04052026: 39@6", "2027-06-08"),
    ),
    plain("colon", "Lot #: 641:07, Expiry: 8/11/27", ("641:07", "2027-08-11")),
    plain("letters and colon", "Lot number CABDAI:36, Exp 4/6/2027", ("CABDAI:36", "2027-04-06")),
    plain(
        "slash",
        "Lots: MC/102026 Discard by 4/18/2027; 126317/D",
        ("MC/102026", "2027-04-18"),
        ("126317/D", None),
    ),
    plain(
        "blank",
        "Tray lot: 13405DK Vial lot: 13-405 DK Exp. 1JUL2027",
        ("13405DK", "2027-07-01"),
        ("13-405 DK", "2027-07-01"),
    ),
    plain(
        "blank before digits",
        "Lot # UJE 040, UJE 041; Exp. 02/27",
        ("UJE 040", "2027-02"),
        ("UJE 041", "2027-02"),
    ),
    plain(
        "blank in one of a list",
        "Lots BJ3339; BJ 3340; BJ3341, Exp 12/27",
        ("BJ3339", "2027-12"),
        ("BJ 3340", "2027-12"),
        ("BJ3341", "2027-12"),
    ),
    plain("short head", "Lot # 21 P0322, Exp. 01/2027", ("21 P0322", "2027-01")),
    plain("in parentheses", "Lot #: 14RIF1(A), Expiry: 9/30/2027", ("14RIF1(A)", "2027-09-30")),
    plain(
        "date, time and number",
        "Lots: 5/10/26 1451 89561S, BUD 9/7/2027; 5/11/26 0212 89561S, BUD 9/8/2027",
        ("5/10/26 1451 89561S", "2027-09-07"),
        ("5/11/26 0212 89561S", "2027-09-08"),
    ),
    plain("clock", "Lot: 02-11-26 14:44 Y, Exp Date: 08/10/27", ("02-11-26 14:44 Y", "2027-08-10")),
    plain(
        "like a date",
        "Lot: 05JAN2026, 06JAN2026 Exp 6/30/2027",
        ("05JAN2026", "2027-06-30"),
        ("06JAN2026", "2027-06-30"),
    ),
    plain("star", "Lot 58382EV*, Exp 1OCT2027", ("58382EV", "2027-10-01")),
    plain("glued keyword", "Lots15952, Exp 06/27", ("15952", "2027-06")),
    plain("one digit", "Lot 7, Exp 06/27", ("7", "2027-06")),
    plain(
        "grams are no unit here",
        "Lot 1234G, 1235G, Exp 06/27",
        ("1234G", "2027-06"),
        ("1235G", "2027-06"),
    ),
    plain("words glued by a mark", "Kit-Lot AB1234 Exp.Date 06/27", ("AB1234", "2027-06")),
)

BOUND = (
    Example(
        "sub-lists",
        TWO,
        "Lots: a) QX1001, Exp 08/27; b) QX1002, QX1003, Exp 09/27",
        ((N30, "QX1001", "2027-08"), (N100, "QX1002", "2027-09"), (N100, "QX1003", "2027-09")),
    ),
    Example(
        "both labels",
        TWO,
        "Lot # a) and b) 19350; Exp 1/27",
        ((N30, "19350", "2027-01"), (N100, "19350", "2027-01")),
    ),
    Example(
        "no labels in the codes", TWO, "Lot 19350", ((N30, "19350", None), (N100, "19350", None))
    ),
    Example("one label", TWO, "Lot #: b) 19350, Exp 1/27", ((N100, "19350", "2027-01"),)),
    Example(
        "count as heading",
        TWO,
        "30 count: Lot 19350, Exp 1/27; 100-ct bottles lot 19351, Exp 2/27",
        ((N30, "19350", "2027-01"), (N100, "19351", "2027-02")),
    ),
    Example(
        "heading after the lot",
        TWO,
        "Lots 19350 (30 count), 19351 (100 count)",
        ((N30, "19350", None), (N100, "19351", None)),
    ),
    Example(
        "labels repeated before the ndcs",
        "Powder, (a) 25 gm, (b) 100 gm. NDC: (a) 99001-0909-25; (b) 99001-0909-01",
        "Lot: a) F10918; b) F10919",
        (("99001-0909-25", "F10918", None), ("99001-0909-01", "F10919", None)),
    ),
    Example(
        "ndcs after all labels",
        "Sanitiser a) 4 L, b) 20 L, NDC 99001-210-04, 99001-210-20",
        "Lot: a) F10918; b) F10919",
        (("99001-210-04", "F10918", None), ("99001-210-20", "F10919", None)),
    ),
    Example(
        "one ndc for all labels",
        "Patch a) 2 count b) 8 count, NDC 99001-610-8",
        "a) 82200 b) 81637",
        (("99001-610-8", "82200", None), ("99001-610-8", "81637", None)),
    ),
    Example(
        "labels only in the codes",
        "Tablets, 100 (NDC 99001-123-01) and 500 (NDC 99001-123-05)",
        "Lot: a) 2003177; b) 2003178",
        (("99001-123-01", "2003177", None), ("99001-123-05", "2003178", None)),
    ),
    Example(
        "dotted labels",
        "A. Red, NDC 99001-123-01 B. Blue, NDC 99001-123-02",
        "A. Lot 2003177 B. Lot 2003178",
        (("99001-123-01", "2003177", None), ("99001-123-02", "2003178", None)),
    ),
    Example(
        "ndc before lots",
        TWO,
        "NDC 99001-123-01 Lot 19350; NDC 99001-123-30 & NDC 99001-123-01 Lot 19351",
        ((N100, "19350", None), (N30, "19351", None), (N100, "19351", None)),
    ),
    Example(
        "ndc after lots",
        TWO,
        "Lot: 19350, NDC: 99001-123-01; Lot: 19351, NDC: 99001-123-30",
        ((N100, "19350", None), (N30, "19351", None)),
    ),
    Example(
        "ndc only in the codes",
        NONE,
        "NDC #99001-0230-01; Lot # 453289; Exp 08/31/27",
        (("99001-0230-01", "453289", "2027-08-31"),),
    ),
    Example("undashed", "Drug, NDC 9900123456", "Lot 453289", (("9900123456", "453289", None),)),
    Example(
        "product level",
        "Drug, NDC 99001-0043; UPC 8 18692 00870 5",
        "Lot 453289",
        (("99001-0043", "453289", None),),
    ),
    Example(
        "package codes",
        "Drug, NDC 99001-527-01, -02/03",
        "Lot 453289",
        tuple((f"99001-527-0{n}", "453289", None) for n in (1, 2, 3)),
    ),
    Example(
        "ndc inside a upc",
        "Drug, NDC 99001-011-01, UPC 3 99001-011-01 6",
        "Lot 453289",
        (("99001-011-01", "453289", None),),
    ),
    Example(
        "known ndc again",
        "Drug, NDC 99001-011-01, NDC number 99001-011-02",
        "Lot 453289",
        (("99001-011-01", "453289", None), ("99001-011-02", "453289", None)),
    ),
    Example(
        "brand as heading",
        "Drug, NDC 99001-339-50 (Alpha label) and NDC 99001-360-50 (Beta label)",
        "lots Z0117AA (Alpha label) and Z0117AB (Beta label), Exp. 08/2027",
        (("99001-339-50", "Z0117AA", "2027-08"), ("99001-360-50", "Z0117AB", "2027-08")),
    ),
    Example(
        "shared heading",
        "10 ct: NDC 99001-111-11; 30 ct NDC 99001-111-30, 99001-111-31; 1,000 ct NDC 99001-111-10",
        "30 ct lot 77001; 1000 count lot 77002",
        (
            ("99001-111-30", "77001", None),
            ("99001-111-31", "77001", None),
            ("99001-111-10", "77002", None),
        ),
    ),
)
