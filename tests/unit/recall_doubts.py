"""Invented recall texts that recall all lots, that are odd, or that a person must be shown."""

from tests.unit.recall_examples import (
    BOUND,
    DATES,
    LISTS,
    LOTS,
    N30,
    N100,
    NONE,
    ONE,
    TWO,
    Example,
    plain,
)
from tests.unit.recall_more import MORE

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
    plain("number in brackets", "Examplol 5 mg (99) lot QX101", ("QX101", None)),
    plain(
        "far from a range",
        "Lot A98, for the product as made before, lot B77",
        ("A98", None),
        ("B77", None),
    ),
    plain("dash without word", "Lot QX101 06-2027", ("QX101", "2027-06")),
    plain("stray bracket", "Lot QX101) = Exp 8/27", ("QX101", "2027-08")),
    plain("made and shipped", "Lot QX101 made and shipped on 1/2/2027", ("QX101", None)),
    plain("made at the end", "Lot QX101 made", ("QX101", None)),
    plain("made in marks", "made , , , , , , , , , Lot QX101", ("QX101", None)),
    plain(
        "strange lot in a table",
        "Lot QX101 Exp 8/27 77-B 9/27",
        ("QX101", "2027-08"),
        ("77-B", "2027-09"),
    ),
    plain(
        "long dated lot", "Lot 5/10/26 1 2 3 4 5 6 7 Exp 8/27", ("5/10/26 1 2 3 4 5 6 7", "2027-08")
    ),
    plain("letters that are no capitals", "Lot abc:12; lot QX101", ("QX101", None)),
    plain("no date ahead", "made by on the of at no code for us, Lot QX101", ("QX101", None)),
    plain("item list in two words", "Item # 11, 12 and 13; Lot QX101", ("QX101", None)),
    plain("sku", "SKU: a) 8C5, b) 8B4. Lot QX101", ("QX101", None)),
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

EXAMPLES = (*DATES, *LISTS, *LOTS, *BOUND, *WHOLE, *ODD, *DOUBTS, *MORE)
