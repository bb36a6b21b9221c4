"""The checks of health: each looks at one thing and says in a line how it is, and what to do where it is wrong."""
