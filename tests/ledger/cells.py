"""Cells as people have them, by what a spreadsheet makes of them."""

#: Cells that one spreadsheet or another saves otherwise than it read them, a line of them for each kind.
CHANGED = [
    cell
    for line in (
        "0416|00|123456789012|1234567890123456789|20240304000000",
        "1.50|1,50|1.234,50|1 234|1'234|.5|5.|00,5|-5|5-|+5|8 +|(5)|5%|5 %|$5|5 €|EUR 5|kr 5",
        "+1 416 555 0100|416 555 0100|416.555.0100| 5|5 |\xa05|1\xa0234|１２|٤١٦",
        "1e5|4.47911E+11|7E3|1E400|1/2|1 1/2|1-2|12-3456",
        "03/04|3/4/2024|03.04.|3.4.24|2024-03-04|2024-03|2024-03-04 12:00|2024-3-4T12:00:00Z",
        "12:30|1:2|24:00|5 pm|5p|12:30 PM|100:00:00.5",
        "Mar 1|1. März 2024|5 mars|DEC1|2-Jan|Jan-24|Monday, 5 March 2024|5 марта|3月4日",
        "TRUE|true|Falsch|vrai",
        "=1+1| =1+1|=x|@SUM(A1)|-|+|＝1+1|\t=1|\n=1|-2+3",
    )
    for cell in line.split("|")
] + ["=cmd|' /C calc'!A0"]

#: Cells that none changes, but for the ends of their lines.
KEPT = [
    cell
    for line in (
        "0|5|4165550100|14165550100|416-555-0100|(416) 555-0100|1-800-555-0100",
        "c30|p0|C1001|12b|M5V 2T6|12 Main Street|Room 5|1st|7c9e6679-7425-40de|ann5@example.com",
        "Ann|May|O'Connor|'t Hooft|'|''| lead|trail |a=b|1 + 1 = 2|N/A|#N/A|Hi Ann, see you at 5",
        'a\nb|a;b|a,b|a\tb|"quoted"|a"b|Zoë|李|e\u0301|\U0001f600|<b>|\u200b5|',
    )
    for cell in line.split("|")
]
