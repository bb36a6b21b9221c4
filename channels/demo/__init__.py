"""The program at work on simulated shops: what `demo` and `replay_sales` set up, drive and measure."""
