"""What channels are offered: versioned rules, pools, pins and ranks.

`resolved` is what the rules come to for one listing; `book` reads the rules in force and resolves them;
`lifecycle` moves versions from draft to active and back; `marking` finds the numbers that change with them.
"""
