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


def _plain(name: str, codes: str, *pairs: tuple[str, str | None]) -> Example:
    """Return a notice of one NDC without doubts."""
    return Example(name, ONE, codes, tuple((N30, lot, expiry) for lot, expiry in pairs))


DATES = (
    _plain("slashes", "Lot #: QX101, Exp 7/31/2027", ("QX101", "2027-07-31")),
    _plain("month and year", "Lot: QX101; Exp. 09/27", ("QX101", "2027-09")),
    _plain("blank inside", "Lot QX101 Exp 02/ 2027", ("QX101", "2027-02")),
    _plain("year first", "Batch QX101, Exp 2027.03.04", ("QX101", "2027-03-04")),
    _plain("year and month", "Batch QX101, Exp 2027/03", ("QX101", "2027-03")),
    _plain("year dash month", "Batch QX101, Exp 2027-03", ("QX101", "2027-03")),
    _plain("dashes", "Lot QX101 EXP 06-2027", ("QX101", "2027-06")),
    _plain("dashed day", "Lot QX101 EXP 06-15-27", ("QX101", "2027-06-15")),
    _plain("day first", "Lot QX101 Exp 25/12/2027", ("QX101", "2027-12-25")),
    _plain("named", "Lot QX101, Expiry: December 2027.", ("QX101", "2027-12")),
    _plain("named day", "Lot QX101, Exp November, 30, 2027", ("QX101", "2027-11-30")),
    _plain("named dashed day", "Lot QX101, Exp Dec-31-27", ("QX101", "2027-12-31")),
    _plain("day before name", "Lot QX101, Exp 07-Jul-2027", ("QX101", "2027-07-07")),
    _plain("glued", "Lot QX101, Exp 1JUL2027", ("QX101", "2027-07-01")),
    _plain("glued without word", "Lot QX101, 1JUL2027", ("QX101", "2027-07-01")),
    _plain("year before name", "Lot QX101, Exp 2027 OCT 31", ("QX101", "2027-10-31")),
    _plain("year and name", "Lot QX101, Exp 2027-OCT", ("QX101", "2027-10")),
    _plain("colon in month", "Lot QX101, Exp. May: 2027", ("QX101", "2027-05")),
    _plain("eight digits", "Lot QX101, Exp 20270731", ("QX101", "2027-07-31")),
    _plain("six digits", "Lot QX101, Exp 202707", ("QX101", "2027-07")),
    _plain("digits with blanks", "Lot QX101, Exp 07 31 2027", ("QX101", "2027-07-31")),
    _plain("month year with blank", "Lot QX101, Exp 07 2027", ("QX101", "2027-07")),
    _plain("four digits", "Lot QX101, Exp 0727", ("QX101", "2027-07")),
    _plain("glued word", "Lot QX101, Exp06/27", ("QX101", "2027-06")),
    _plain("use by", "Lot 7701, Use by 8/17/27", ("7701", "2027-08-17")),
    _plain("discard", "Lot: 7701 Discard after: 5/20/2027", ("7701", "2027-05-20")),
    _plain("beyond use", "Lot 7701, Do Not Use Beyond: 03/22/2027", ("7701", "2027-03-22")),
    _plain("no expiry", "Lot: 7701, No EXP Date", ("7701", None)),
    _plain("unknown expiry", "Lot: 7701, Exp date unknown", ("7701", None)),
    _plain(
        "made on", 'Lot 7701, BUD 3/2/2027, "Compounded on May 21, 2026"', ("7701", "2027-03-02")
    ),
    _plain("misspelt", "Lot QX101, Ex p 7/7/2027", ("QX101", "2027-07-07")),
    _plain(
        "date word glued to lot",
        "Lot AB12 Exp 8/27Lot CD34 Exp 9/27",
        ("AB12", "2027-08"),
        ("CD34", "2027-09"),
    ),
)

LISTS = (
    _plain(
        "shared expiry",
        "Lot #: QX101, QX102 and QX103, Exp 08/27; QX104, Exp 09/27",
        ("QX101", "2027-08"),
        ("QX102", "2027-08"),
        ("QX103", "2027-08"),
        ("QX104", "2027-09"),
    ),
    _plain(
        "expiry first",
        "Exp 08/27: QX101, QX102; Exp 09/27: QX103",
        ("QX101", "2027-08"),
        ("QX102", "2027-08"),
        ("QX103", "2027-09"),
    ),
    _plain(
        "as many dates as lots",
        "Lots QX101, QX102, Exp 08/27 and 09/27 respectively",
        ("QX101", "2027-08"),
        ("QX102", "2027-09"),
    ),
    _plain(
        "the same date twice",
        "Lots QX1, QX2, QX3 Exp 08/27 (08/2027)",
        ("QX1", "2027-08"),
        ("QX2", "2027-08"),
        ("QX3", "2027-08"),
    ),
    _plain(
        "no word for lot",
        "C20129, Exp 08/27; C20130, Exp 09/27",
        ("C20129", "2027-08"),
        ("C20130", "2027-09"),
    ),
    _plain("table", "16H21A 08/2027 16H22A 09/2027", ("16H21A", "2027-08"), ("16H22A", "2027-09")),
    _plain(
        "product before each lot",
        "Examplol 5mg vial AE41 02/2027 Examplol 5mg vial CA02B 03/2027",
        ("AE41", "2027-02"),
        ("CA02B", "2027-03"),
    ),
    _plain(
        "parentheses", "Lots 72493 (5/27), 75241 (7/27)", ("72493", "2027-05"), ("75241", "2027-07")
    ),
    _plain(
        "lot and date with a colon",
        "Lot:Expiry - 0804.1B-1:07/27; 0804.2B-1:08/27",
        ("0804.1B-1", "2027-07"),
        ("0804.2B-1", "2027-08"),
    ),
    _plain(
        "lot and date with a slash",
        "4920003A/May-27 4920004A/Jun-27",
        ("4920003A", "2027-05"),
        ("4920004A", "2027-06"),
    ),
    _plain(
        "date and lot with a colon",
        "Expiry, lot: 11/30/2027: 7258177; 2/28/2028: 7212260",
        ("7258177", "2027-11-30"),
        ("7212260", "2028-02-28"),
    ),
    _plain(
        "letters only",
        "Lot #: SAC, Exp 1/27; SLK, Exp 12/27",
        ("SAC", "2027-01"),
        ("SLK", "2027-12"),
    ),
    _plain(
        "letters without comma",
        "Lot #: AXPS AXLS, Exp 1/27",
        ("AXPS", "2027-01"),
        ("AXLS", "2027-01"),
    ),
    _plain(
        "commas without blanks",
        "Batch #: 1508803,1602801, Exp 08/27",
        ("1508803", "2027-08"),
        ("1602801", "2027-08"),
    ),
    _plain(
        "three digits",
        "Lot# 001,002,003, Exp 08/27",
        ("001", "2027-08"),
        ("002", "2027-08"),
        ("003", "2027-08"),
    ),
    _plain("twice", "Lot 12B001 Exp 01/27; Lot 12B001 Exp 01/27", ("12B001", "2027-01")),
    _plain(
        "repeated without expiry",
        "Lots 5M02 Exp 10/27. *Lots 5M02 lack a label",
        ("5M02", "2027-10"),
    ),
    _plain(
        "two slashed lots",
        "Lots AB12345/AB12346 Exp 10/27",
        ("AB12345", "2027-10"),
        ("AB12346", "2027-10"),
    ),
    _plain("code", "Codes: L084A13A, L095F13A", ("L084A13A", None), ("L095F13A", None)),
    _plain(
        "container words",
        "Lot #: Patch 453658; Carton 453658A, Exp 09/27",
        ("453658", "2027-09"),
        ("453658A", "2027-09"),
    ),
    _plain(
        "count in plural", "Lot # 5210546, exp 3/31/2027, 30's Bottle", ("5210546", "2027-03-31")
    ),
    _plain(
        "thousands are a quantity",
        "Lot 5210546, 1,200 bottles, exp 3/31/2027",
        ("5210546", "2027-03-31"),
    ),
    _plain("percent", "Examplol-0.9% bags, Lot 5210546", ("5210546", None)),
    _plain(
        "manufacturer's",
        "Manufacturer's lot # 20260320, exp. March 2027 Item # TCM004",
        ("20260320", "2027-03"),
    ),
    _plain("original alone", "Original lot # R5307, exp. March 2027", ("R5307", "2027-03")),
)

LOTS = (
    _plain(
        "at",
        "t12192026@8, 08012026@35 BUD: 1/28/2027",
        ("t12192026@8", "2027-01-28"),
        ("08012026@35", "2027-01-28"),
    ),
    _plain("colon and at", "Lot 04162026:77@4, Exp 6/8/2027", ("04162026:77@4", "2027-06-08")),
    _plain(
        "colon, blank and at",
        "Lot: 04052026:  39@6, Exp 6/8/2027",
        ("04052026: 39@6", "2027-06-08"),
    ),
    _plain("colon", "Lot #: 641:07, Expiry: 8/11/27", ("641:07", "2027-08-11")),
    _plain("letters and colon", "Lot number CABDAI:36, Exp 4/6/2027", ("CABDAI:36", "2027-04-06")),
    _plain(
        "slash",
        "Lots: MC/102026 Discard by 4/18/2027; 126317/D",
        ("MC/102026", "2027-04-18"),
        ("126317/D", None),
    ),
    _plain(
        "blank",
        "Tray lot: 13405DK Vial lot: 13-405 DK Exp. 1JUL2027",
        ("13405DK", "2027-07-01"),
        ("13-405 DK", "2027-07-01"),
    ),
    _plain(
        "blank before digits",
        "Lot # UJE 040, UJE 041; Exp. 02/27",
        ("UJE 040", "2027-02"),
        ("UJE 041", "2027-02"),
    ),
    _plain(
        "blank in one of a list",
        "Lots BJ3339; BJ 3340; BJ3341, Exp 12/27",
        ("BJ3339", "2027-12"),
        ("BJ 3340", "2027-12"),
        ("BJ3341", "2027-12"),
    ),
    _plain("short head", "Lot # 21 P0322, Exp. 01/2027", ("21 P0322", "2027-01")),
    _plain("in parentheses", "Lot #: 14RIF1(A), Expiry: 9/30/2027", ("14RIF1(A)", "2027-09-30")),
    _plain(
        "date, time and number",
        "Lots: 5/10/26 1451 89561S, BUD 9/7/2027; 5/11/26 0212 89561S, BUD 9/8/2027",
        ("5/10/26 1451 89561S", "2027-09-07"),
        ("5/11/26 0212 89561S", "2027-09-08"),
    ),
    _plain(
        "clock", "Lot: 02-11-26 14:44 Y, Exp Date: 08/10/27", ("02-11-26 14:44 Y", "2027-08-10")
    ),
    _plain(
        "like a date",
        "Lot: 05JAN2026, 06JAN2026 Exp 6/30/2027",
        ("05JAN2026", "2027-06-30"),
        ("06JAN2026", "2027-06-30"),
    ),
    _plain("star", "Lot 58382EV*, Exp 1OCT2027", ("58382EV", "2027-10-01")),
    _plain("glued keyword", "Lots15952, Exp 06/27", ("15952", "2027-06")),
    _plain("one digit", "Lot 7, Exp 06/27", ("7", "2027-06")),
    _plain(
        "grams are no unit here",
        "Lot 1234G, 1235G, Exp 06/27",
        ("1234G", "2027-06"),
        ("1235G", "2027-06"),
    ),
    _plain("words glued by a mark", "Kit-Lot AB1234 Exp.Date 06/27", ("AB1234", "2027-06")),
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

WHOLE = (
    Example("all lots", ONE, "All lots within expiry.", (), all_lots=True),
    Example("all", ONE, "ALL", (), all_lots=True),
    Example("lots: all", ONE, "Lots: ALL", (), all_lots=True),
    Example("all codes", NONE, "All lot codes and expiration dates.", (), all_lots=True),
    Example("all within", NONE, "All product within expiry", (), all_lots=True),
    Example(
        "subject to recall",
        NONE,
        "No lot number; all Testo-0.9% is subject to recall",
        (),
        all_lots=True,
    ),
    Example(
        "limited",
        NONE,
        "All lots compounded between 03/24/2026 and 03/24/2027",
        (),
        all_lots=True,
        flagged=("All lots",),
    ),
    Example(
        "limited by expiry",
        NONE,
        "All unexpired lots; Exp 10/03/2026 to 11/06/2026",
        (),
        all_lots=True,
        flagged=("All unexpired lots",),
    ),
    Example(
        "and a list",
        NONE,
        "All lots including lot 453289",
        ((None, "453289", None),),
        all_lots=True,
        flagged=("All lots",),
    ),
    Example("not all", NONE, "Not all lots: lot 453289", ((None, "453289", None),)),
    Example(
        "part of the number",
        NONE,
        "All lots beginning with 2027",
        (),
        flagged=("All lots", "All lots beginning with 2027", "2027"),
    ),
    Example(
        "a list with the word all",
        ONE,
        "Lots QX1 and QX2 all with expiry dated 2/2027",
        ((N30, "QX1", "2027-02"), (N30, "QX2", "2027-02")),
    ),
    Example(
        "all lots in the description", "Cream, all lots, NDC 99001-123-30", "N/A", (), all_lots=True
    ),
)

ODD = (
    _plain("number in brackets", "Examplol 5 mg (99) lot QX101", ("QX101", None)),
    _plain(
        "far from a range",
        "Lot A98, for the product as made before, lot B77",
        ("A98", None),
        ("B77", None),
    ),
    _plain("dash without word", "Lot QX101 06-2027", ("QX101", "2027-06")),
    _plain("stray bracket", "Lot QX101) = Exp 8/27", ("QX101", "2027-08")),
    _plain("made and shipped", "Lot QX101 made and shipped on 1/2/2027", ("QX101", None)),
    _plain("made at the end", "Lot QX101 made", ("QX101", None)),
    _plain("made in marks", "made , , , , , , , , , Lot QX101", ("QX101", None)),
    _plain(
        "strange lot in a table",
        "Lot QX101 Exp 8/27 77-B 9/27",
        ("QX101", "2027-08"),
        ("77-B", "2027-09"),
    ),
    _plain(
        "long dated lot", "Lot 5/10/26 1 2 3 4 5 6 7 Exp 8/27", ("5/10/26 1 2 3 4 5 6 7", "2027-08")
    ),
    _plain("letters that are no capitals", "Lot abc:12; lot QX101", ("QX101", None)),
    _plain("no date ahead", "made by on the of at no code for us, Lot QX101", ("QX101", None)),
    _plain("item list in two words", "Item # 11, 12 and 13; Lot QX101", ("QX101", None)),
    _plain("sku", "SKU: a) 8C5, b) 8B4. Lot QX101", ("QX101", None)),
    Example(
        "bracket that stays open",
        "Red (NDC 99001-1234-1 (10 count), Blue (NDC 99001-1234-2 (20 count",
        "10 count lot 4711",
        (("99001-1234-1", "4711", None),),
    ),
    Example(
        "label without its bracket",
        TWO,
        "Lot # a) 0005295, Exp 4/27; b 0005412, Exp 5/27",
        ((N30, "0005295", "2027-04"), (N100, "0005412", "2027-05")),
    ),
    Example(
        "dotted bracket",
        TWO,
        "a.) Lot 4711 b.) Lot 4712",
        ((N30, "4711", None), (N100, "4712", None)),
    ),
    Example(
        "phone that is no ndc",
        "Drug, UPC 3-99001-011-01-6, NDC 99001-011-02",
        "Lot 453289",
        (("99001-011-02", "453289", None),),
    ),
)

DOUBTS = (
    Example(
        "end of the text", ONE, "Lot QX101, see QX77", ((N30, "QX101", None),), flagged=("QX77",)
    ),
    Example(
        "marks to the end",
        ONE,
        "Lot QX101, see QX77 ( (; 1",
        ((N30, "QX101", None),),
        flagged=("QX77",),
    ),
    Example(
        "codes of two forms",
        ONE,
        "Product Codes: Q1-4, Q1-55; Lot QX101",
        ((N30, "QX101", None),),
        flagged=("Q1-55",),
    ),
    Example(
        "one heading that tells nothing",
        "Tablets, 30 and 90 count, NDC 99001-103-30 and NDC 99001-103-90",
        "Red lot 4710; 30 count lot 4711; 90 count lot 4712",
        tuple(
            (ndc, lot, None)
            for lot in ("4710", "4711", "4712")
            for ndc in ("99001-103-30", "99001-103-90")
        ),
        flagged=("30 count", "90 count"),
    ),
    Example(
        "other ndc",
        ONE,
        "Lot 4711 NDC 99001-123-31",
        (("99001-123-31", "4711", None),),
        flagged=("99001-123-31",),
    ),
    Example(
        "other loose ndc",
        ONE,
        "Lot 4711 NDC 9900112331",
        (("9900112331", "4711", None),),
        flagged=("9900112331",),
    ),
    Example(
        "product codes",
        ONE,
        "Batch 20087131. Product Code: a) 3020-8 b) 3020-3",
        ((N30, "20087131", None),),
        flagged=("3020-8", "3020-3"),
    ),
    Example(
        "long number",
        ONE,
        "Lot 88001, Exp 1/27 1,200,300,400,500,600",
        ((N30, "88001", "2027-01"), (N30, "600", None)),
        flagged=("1,200,300,400,500",),
    ),
    Example(
        "two readings",
        ONE,
        "Lot 19094A, Exp. 082027",
        ((N30, "19094A", None),),
        flagged=("082027",),
    ),
    Example("nothing", NONE, "", (), flagged=("",)),
    Example("none", NONE, "None", (), flagged=("None",)),
    Example(
        "prescriptions",
        NONE,
        "Rx #'s:  0405776    0405779",
        (),
        flagged=("Rx #'s:  0405776    0405779",),
    ),
    Example("year only", ONE, "Lot 19094A, Exp. 2027", ((N30, "19094A", None),), flagged=("2027",)),
    Example(
        "impossible day",
        ONE,
        "Lot 19094A, Exp. 2/29/2027",
        ((N30, "19094A", "2027-02"),),
        flagged=("2/29/2027",),
    ),
    Example(
        "impossible month",
        ONE,
        "Lot 19094A, Exp. 13/40/2027",
        ((N30, "19094A", None),),
        flagged=("13/40/2027",),
    ),
    Example(
        "misprinted year",
        ONE,
        "Lot 19094A, Exp. 9/30/202",
        ((N30, "19094A", None),),
        flagged=("9/30/202",),
    ),
    Example(
        "month thirteen",
        ONE,
        "Lot 19094A, Exp. 132027",
        ((N30, "19094A", None), (N30, "132027", None)),
        flagged=(),
    ),
    Example(
        "dates in a range",
        ONE,
        "Lot 19094A, Exp between 07/15/27-10/12/27",
        ((N30, "19094A", None),),
        flagged=("07/15/27-10/12/27",),
    ),
    Example(
        "dates to dates",
        ONE,
        "Lot 19094A, Exp 07/2027 to 10/2027",
        ((N30, "19094A", None),),
        flagged=("07/2027 to 10/2027",),
    ),
    Example(
        "two dates",
        ONE,
        "Lot 19094A, BUD 07/2027; Discard after 10/2027",
        ((N30, "19094A", None),),
        flagged=("07/2027; Discard after 10/2027",),
    ),
    Example(
        "date in prose",
        ONE,
        "Lot 19094A Expanded 8/29/2026",
        ((N30, "19094A", None),),
        flagged=("8/29/2026",),
    ),
    Example(
        "shipped", ONE, "Goods shipped since July 02, 2026. Lot 19094A", ((N30, "19094A", None),)
    ),
    Example(
        "range",
        ONE,
        "Lots A001 to A003, Exp 1/27",
        tuple((N30, f"A00{n}", "2027-01") for n in (1, 2, 3)),
        flagged=("A001 to A003",),
    ),
    Example(
        "range between",
        ONE,
        "Lots between 8101 and 8103",
        tuple((N30, f"810{n}", None) for n in (1, 2, 3)),
        flagged=("8101 and 8103",),
    ),
    Example(
        "range with dash",
        ONE,
        "Lots 8101 - 8102",
        ((N30, "8101", None), (N30, "8102", None)),
        flagged=("8101 - 8102",),
    ),
    Example(
        "range in one code",
        ONE,
        "Lots 81001, 81003-81004",
        ((N30, "81001", None), (N30, "81003", None), (N30, "81004", None)),
        flagged=("81003-81004",),
    ),
    Example(
        "range or one lot", ONE, "Lots 81003-81004", (), flagged=("Lots 81003-81004", "81003-81004")
    ),
    Example(
        "range too long",
        ONE,
        "Lots 1001 through 9001; lot 77",
        ((N30, "77", None),),
        flagged=("1001 through 9001",),
    ),
    Example(
        "range of letters",
        ONE,
        "Lots A77A through A77Q; lot 77",
        ((N30, "77", None),),
        flagged=("A77A through A77Q",),
    ),
    Example(
        "range of two counters",
        ONE,
        "Lots A1B1 through A2B2; lot 77",
        ((N30, "77", None),),
        flagged=("A1B1 through A2B2",),
    ),
    Example(
        "range of other length",
        ONE,
        "Lots A98 through A102; lot 77",
        ((N30, "77", None),),
        flagged=("A98 through A102",),
    ),
    Example("no range", ONE, "Lots A98 - B77X", ((N30, "A98", None), (N30, "B77X", None))),
    Example(
        "ending in",
        ONE,
        "Lots ending in 1001, 12",
        (),
        flagged=("Lots ending in 1001, 12", "1001", "12"),
    ),
    Example(
        "followed",
        ONE,
        "Lot 42-335-DK; the lot number may be followed by 01 to 99",
        ((N30, "42-335-DK", None),),
        flagged=("followed",),
    ),
    Example(
        "exception",
        ONE,
        "Lot 77001, except 77002; lot 77003",
        ((N30, "77001", None), (N30, "77003", None)),
        flagged=("77002",),
    ),
    Example(
        "exception ends",
        ONE,
        "Lot 77001, except 77002. Exp 1/27",
        ((N30, "77001", "2027-01"),),
        flagged=("77002",),
    ),
    Example(
        "serial numbers",
        ONE,
        "Lot 77001 Serial numbers 160R694TT06X",
        ((N30, "77001", None),),
        flagged=("160R694TT06X",),
    ),
    Example(
        "other maker",
        ONE,
        "Lot # 0198FR, original lot # R53074, exp. 10/31/2027",
        ((N30, "0198FR", "2027-10-31"),),
        flagged=("R53074",),
    ),
    Example(
        "refer to",
        ONE,
        "Lot #: 7579 (Refer to 13G0001), Exp 06/27",
        ((N30, "7579", "2027-06"),),
        flagged=("13G0001",),
    ),
    Example(
        "thousands",
        ONE,
        "Lot 88001, Exp 1/27   70,200",
        ((N30, "88001", "2027-01"),),
        flagged=("70,200",),
    ),
    Example(
        "placeholder",
        ONE,
        "Lot 88001, MFD: XX.XX.20XX",
        ((N30, "88001", None),),
        flagged=("XX.20XX",),
    ),
    Example(
        "maker's number",
        ONE,
        "Lot 88001 (Mfg: XI002A6), Exp 1/27",
        ((N30, "88001", "2027-01"),),
        flagged=("XI002A6",),
    ),
    Example(
        "product name",
        "Methylsample80mg/lido1 syringe, NDC 99001-123-30",
        "Lot: Methylsample80mg/lido1: 13012370",
        ((N30, "13012370", None),),
        flagged=("Methylsample80mg/lido1",),
    ),
    Example(
        "code beside lot", ONE, "Code D0791; Lot 88001", ((N30, "88001", None),), flagged=("D0791",)
    ),
    Example("very long", ONE, "Lot " + "7" * 41, (), flagged=("Lot " + "7" * 41, "7" * 41)),
    Example(
        "in the description",
        "Drug, Lot 4711, NDC 99001-123-30",
        "Lot 4712",
        ((N30, "4712", None),),
        flagged=("4711",),
    ),
    Example(
        "only in the description",
        "Drug 5 mg, Lot 4711, NDC 99001-123-30",
        "See label",
        ((N30, "4711", None),),
    ),
    Example(
        "a label without ndc",
        "a) Red (NDC 99001-1234-1), b) Blue (NDC 99001-1234-2), c) Green",
        "a) 4711 c) 4712",
        (("99001-1234-1", "4711", None), (None, "4712", None)),
        flagged=("c)",),
    ),
    Example(
        "too many labels",
        "Red (NDC 99001-1234-1), Blue (NDC 99001-1234-2)",
        "a) 4711 b) 4712 c) 4713",
        tuple(
            (ndc, lot, None)
            for lot in ("4711", "4712", "4713")
            for ndc in ("99001-1234-1", "99001-1234-2")
        ),
        flagged=("a)", "b)", "c)"),
    ),
    Example(
        "heading of no ndc",
        TWO,
        "30 count lot 4711; 60 count lot 4712",
        ((N30, "4711", None), (N30, "4712", None), (N100, "4712", None)),
        flagged=("60 count",),
    ),
    Example(
        "headings that cannot tell",
        "Tablets, 30 and 90 count, NDC 99001-103-30 and NDC 99001-103-90",
        "30 count lot 4711; 90 count lot 4712",
        tuple(
            (ndc, lot, None) for lot in ("4711", "4712") for ndc in ("99001-103-30", "99001-103-90")
        ),
        flagged=("30 count", "90 count"),
    ),
    Example(
        "sku without lots",
        NONE,
        "SKU 051230024, Tel 513-555-0100",
        (),
        flagged=("SKU 051230024, Tel 513-555-0100",),
    ),
)

EXAMPLES = (*DATES, *LISTS, *LOTS, *BOUND, *WHOLE, *ODD, *DOUBTS)
