"""The daily report of a merchant: what was sold, how the key figures stand, what is out of stock."""
