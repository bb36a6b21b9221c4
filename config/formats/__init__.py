"""How the back office writes dates and numbers, by language."""
