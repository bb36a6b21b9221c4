"""The merchants' API: what help desks were asked."""
