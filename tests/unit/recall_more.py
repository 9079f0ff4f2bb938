"""Invented recall texts with slips of the pen, tables, pack sizes and numbers of other kinds."""

from tests.unit.recall_examples import N30, N100, NONE, ONE, TWO, Example, plain

GLUED = (
    plain("date word before digits", "Lot QX101, exp. date12/2027", ("QX101", "2027-12")),
    plain("date word before a day", "Lot QX101, Exp. Date28-Feb-2027", ("QX101", "2027-02-28")),
    plain("word before a month", "Lot QX101, EXPJul-27", ("QX101", "2027-07")),
    plain("word after a lot", "Lot:182007EXP:02/27", ("182007", "2027-02")),
    plain(
        "lot, word and date",
        "Lots 727370-exp07/27, 727898-exp 09/27; LOT308EXP03/28",
        ("727370", "2027-07"),
        ("727898", "2027-09"),
        ("308", "2028-03"),
    ),
    plain("use by after a lot", "Lot: 61296:42Use by: 04/13/2027", ("61296:42", "2027-04-13")),
    plain("short for use by", "Lot: 61296:42 UB 04/13/2027", ("61296:42", "2027-04-13")),
    plain("short for beyond use", "Lot QX101 BUDL 6/16/2027", ("QX101", "2027-06-16")),
)

SHAPED = (
    plain(
        "batch of a day",
        "Lot #: 04122026    38@58, Exp 07/12/2027; Lot #: 02022026 : 72@19, Exp 8/1/2027",
        ("04122026 38@58", "2027-07-12"),
        ("02022026 : 72@19", "2027-08-01"),
    ),
    plain(
        "blank before the at",
        "Lot #: 02102026:00 @22, 011526J6:90@35",
        ("02102026:00 @22", None),
        ("011526J6:90@35", None),
    ),
    plain(
        "number and letter",
        "Lots 02202026:53/A, 04012026:67/A Exp 8/18/2027",
        ("02202026:53/A", "2027-08-18"),
        ("04012026:67/A", "2027-08-18"),
    ),
    plain(
        "colons in a table",
        "Lots 12312026:45  01152026:91  01252026:MWT  58409:42 58410:43",
        ("12312026:45", None),
        ("01152026:91", None),
        ("01252026:MWT", None),
        ("58409:42", None),
        ("58410:43", None),
    ),
    plain("long number after a colon", "Lot 123:4567, Exp 1/27", ("123:4567", "2027-01")),
    plain("number sign inside", "Lot #: 2172#141, Exp 3/27", ("2172#141", "2027-03")),
    plain("two digits after a blank", "Lot 334 21, Exp: 30 Nov, 2027", ("334 21", "2027-11-30")),
    plain("capital A", "Lot #: CQC2-23001 A, Exp. 11/30/2027", ("CQC2-23001 A", "2027-11-30")),
    plain(
        "one capital before",
        "Lot #: S800021, Exp 30-Nov-27; S 800401, Exp 28-Feb-28",
        ("S800021", "2027-11-30"),
        ("S 800401", "2028-02-28"),
    ),
    plain(
        "dash before the word",
        "lot SDFC- exp. 5/31/2027 lot TFBW- exp. 5/31/2028",
        ("SDFC", "2027-05-31"),
        ("TFBW", "2028-05-31"),
    ),
    plain(
        "long numbers with a dash",
        "Batch#  200620-728201, 200620-728202",
        ("200620-728201", None),
        ("200620-728202", None),
    ),
    plain(
        "like an ndc with a letter after",
        "Batch Number # 079932-4611-05-J, exp. date May 2027",
        ("079932-4611-05-J", "2027-05"),
    ),
    plain(
        "list of three digits",
        "Lot#:339,340,341,342, Exp 1/27",
        ("339", "2027-01"),
        ("340", "2027-01"),
        ("341", "2027-01"),
        ("342", "2027-01"),
    ),
    plain(
        "the same lot by unit",
        "Lots QX1001  QX1001 QX1001  QX1002 QX1002, QX10021",
        ("QX1001", None),
        ("QX1002", None),
        ("QX10021", None),
    ),
)

PLACED = (
    plain(
        "vials between",
        "Lot #s: 04302026@1;  5 mL vial  05072026@4; 10 mL vial  05212026@2",
        ("04302026@1", None),
        ("05072026@4", None),
        ("05212026@2", None),
    ),
    plain(
        "list after an expiry",
        "Lot 07769458, exp 4/30/2027  NY17002DA, NY17002DB, exp 6/30/2027",
        ("07769458", "2027-04-30"),
        ("NY17002DA", "2027-06-30"),
        ("NY17002DB", "2027-06-30"),
    ),
    plain(
        "expiry of both lots",
        "Lot #: 134124 and 140364  Expiration Date of both lots: 05/2027",
        ("134124", "2027-05"),
        ("140364", "2027-05"),
    ),
    plain(
        "time of day",
        "Lot QX101, Exp 8/3/2027 at 10:00am, QX102, Exp 8/9/2027 at 11:30 p.m.",
        ("QX101", "2027-08-03"),
        ("QX102", "2027-08-09"),
    ),
    plain(
        "lots added later",
        "Lot QX101, Exp 8/27. Additional lots added 12/19/2026 - QX102. Also added: QX103",
        ("QX101", "2027-08"),
        ("QX102", None),
        ("QX103", None),
    ),
    plain(
        "maker's lot in each sentence",
        "Our Lot #614S; Exp 05/31/2027; Big Lot #141081A. Our Lot #6HFC; Exp 06/30/2027; "
        "Big Lot #141277A. Our Lot #615S; Exp 08/31/2027; Big Lot #141809A.",
        ("614S", "2027-05-31"),
        ("141081A", "2027-05-31"),
        ("6HFC", "2027-06-30"),
        ("141277A", "2027-06-30"),
        ("615S", "2027-08-31"),
        ("141809A", "2027-08-31"),
    ),
    plain(
        "full stops that end no sentence",
        "Lot AB1; Exp 1/27; Lot AB2. Lot AB3; Exp 3/27; Lot AB4; Exp 4/27; Lot AB5. Lot AB6",
        ("AB1", "2027-01"),
        ("AB2", "2027-03"),
        ("AB3", "2027-03"),
        ("AB4", "2027-04"),
        ("AB5", None),
        ("AB6", None),
    ),
    Example(
        "pack sizes",
        TWO,
        "a) 30s; DT602305A, DT602306A, exp. date Jan-27;  b) 1000s; DT602210A, exp. date Apr-27",
        (
            (N30, "DT602305A", "2027-01"),
            (N30, "DT602306A", "2027-01"),
            (N100, "DT602210A", "2027-04"),
        ),
    ),
    Example(
        "pack sizes in other words",
        TWO,
        "a) 30's; DT602305A, b) 100 ct; DT602210A, 100g; 24caplets: DT602211A",
        ((N30, "DT602305A", None), (N100, "DT602210A", None), (N100, "DT602211A", None)),
    ),
    Example(
        "words after a label",
        TWO,
        "Lot #s: a) Injectable 09252026@8, b) for skin 100 count QX100207, QX100208",
        ((N30, "09252026@8", None), (N100, "QX100207", None), (N100, "QX100208", None)),
    ),
    Example(
        "labeler of three digits",
        "Drug, NDC: 135-0181-02",
        "Lot QX101",
        (("135-0181-02", "QX101", None),),
    ),
    Example(
        "labels after the lots",
        TWO,
        "Lot #: L13152-1, Exp: 11/21/2027; a) small, b) large. Lot #: L13103-1, Exp: 1/2028, b) X",
        (
            (N30, "L13152-1", "2027-11-21"),
            (N100, "L13152-1", "2027-11-21"),
            (N100, "L13103-1", "2028-01"),
        ),
    ),
    Example(
        "ndc and a word without a blank",
        "Drug, NDC 99001-0106-04Manufacturer: Sample Labs",
        "Lot QX101",
        (("99001-0106-04", "QX101", None),),
    ),
    plain(
        "lots and dates announced together",
        "Lot Numbers and (Expiration Dates): 011713 (01/2027); 012213 (02/2027)",
        ("011713", "2027-01"),
        ("012213", "2027-02"),
    ),
    Example(
        "tablets are counted",
        "Tablets. NDC 90 tablets: 99001-115-90; NDC 1000 tablets: 99001-115-10",
        "[90 count] Lot 4711; [1000 count] Lot 4712; [90 tablets] Lot 4713",
        (
            ("99001-115-90", "4711", None),
            ("99001-115-10", "4712", None),
            ("99001-115-90", "4713", None),
        ),
    ),
    Example(
        "counted are capsules",
        "Capsules. NDC 90 count: 99001-115-90; NDC 1000 count: 99001-115-10",
        "90 capsules Lot 4711; 1000 capsules Lot 4712",
        (("99001-115-90", "4711", None), ("99001-115-10", "4712", None)),
    ),
    Example(
        "packs in brackets",
        "Vials in trays, NDC 99001-094-12 (vial), 99001-094-22 (tray)",
        "Lots: 08133 (tray) 08-133 (vial)",
        (("99001-094-22", "08133", None), ("99001-094-12", "08-133", None)),
    ),
    Example(
        "one sample lot at the end",
        "Drug, NDC 99001-005-01, NDC (sample lot) 99001-005-54",
        "Lot # 82315, Exp. Oct-27 82316, Exp. Jan-28 82687 (sample lot) exp. date Jan-28",
        (
            ("99001-005-01", "82315", "2027-10"),
            ("99001-005-54", "82315", "2027-10"),
            ("99001-005-01", "82316", "2028-01"),
            ("99001-005-54", "82316", "2028-01"),
            ("99001-005-54", "82687", "2028-01"),
        ),
    ),
    plain("lost apostrophe", "Lot 5210546, exp 3/31/2027, 500 s Bottle", ("5210546", "2027-03-31")),
    plain("preparation", "Lot QX101, Preparation #: 390-2678", ("QX101", None)),
)

FLAGGED = (
    Example(
        "misprinted dates",
        ONE,
        "Lot QX101, Exp 12/11/20278; QX102, Exp 05/312027; QX103 Exp 01AUG2927; QX104 3/25/020",
        tuple((N30, f"QX10{n}", None) for n in (1, 2, 3, 4)),
        flagged=("12/11/20278", "05/312027", "01AUG2927", "3/25/020"),
    ),
    Example(
        "days of one month",
        ONE,
        "Lot QX101, Beyond Use Date: December 24- 31, 2027",
        ((N30, "QX101", None),),
        flagged=("December 24- 31, 2027",),
    ),
    Example(
        "days of two months",
        NONE,
        "Beyond Use Date: December 25-January 3, 2027",
        (),
        flagged=("Beyond Use Date: December 25-January 3, 2027",),
    ),
    plain("days of making", "Made between December 24-31, 2026. Lot QX101", ("QX101", None)),
    Example(
        "dates in the place of lots",
        NONE,
        "Lot #: 05/02/2026 to 05/01/2027",
        (),
        flagged=("Lot #: 05/02/2026 to 05/01/2027", "05/02/2026", "05/01/2027"),
    ),
    Example(
        "number beside a lot",
        ONE,
        "Lot # QX11B012 - 19728 20 mL, Exp. 01/27; Lot QX11B013 - 22",
        ((N30, "QX11B012", "2027-01"), (N30, "QX11B013", None)),
        flagged=("19728",),
    ),
    Example(
        "product before a code",
        ONE,
        "Bulk Lots: 18G085, 19B061  Product C107LA:  Bulk lots: 19F067. Lot product QX1234",
        tuple((N30, lot, None) for lot in ("18G085", "19B061", "19F067", "QX1234")),
        flagged=("C107LA",),
    ),
    Example(
        "several skus",
        NONE,
        "SKUs a) 0999841; b) 0916071 shipped from 07/28/2026",
        (),
        flagged=("SKUs a) 0999841; b) 0916071 shipped from 07/28/2026", "0999841", "0916071"),
    ),
    Example(
        "malformed ndc",
        "Drug, NDC 012660-0002",
        "Lot 161600, Exp 3/27",
        ((None, "161600", "2027-03"),),
        flagged=("012660-0002",),
    ),
    Example(
        "malformed ndc among the codes",
        ONE,
        "NDC 14060-01105 Lot 161600, Exp 3/27",
        ((N30, "161600", "2027-03"),),
        flagged=("14060-01105",),
    ),
)

MORE = (*GLUED, *SHAPED, *PLACED, *FLAGGED)
