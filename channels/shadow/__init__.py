"""Shadow mode: a channel is read beside whatever the merchant uses now, and told nothing.

Its orders and webhooks are applied as always, its numbers are computed as they change, and what its shelves show is read;
`ShadowSpan` keeps both side by side over time (`spans`). `following` computes, `reading` looks, `report` sums up what we would
have sent and what was oversold meanwhile, `going_live` asks what is open and begins to tell, `runs` begins and ends it all.
That nothing is written is the transport's affair (`channels.writing`).
"""
